// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

// journal is that of a bank with two accounts that is killed twice: money is on its way the first time, and all is
// at rest the second. Account 1 sends 100 twice, at once and late; request 3 is outstanding when the bank dies.
const journal = `
{"event":"store","opening":1000}
{"event":"send","client":"c","number":1,"account":"1"}
{"event":"ack","client":"c","number":1,"answer":"{\"step\":1,\"balance\":900}"}
{"event":"send","client":"c","number":2,"account":"1"}
{"event":"ack","client":"c","number":2}
{"event":"ack","client":"c","number":1,"answer":"{\"step\":1,\"balance\":900}"}
{"event":"statement","key":"k1","epoch":3,"account":"1","step":1,"hash":"a1"}
{"event":"totals","epoch":4,"totals":{"accounts":2,"balances":1800,"in_flight":100,"delayed":100}}
{"event":"send","client":"c","number":3,"account":"2"}
{"event":"death","mid_epoch":true}
{"event":"books","books":{"epoch":5,"accounts":{
	"1":{"balance":800,"step":2,"hash":"a2","peers":{"2":{"sent":1,"sent_late":1}},"clients":{"c":{"requests":2,"sum":3}}},
	"2":{"balance":1000,"step":0,"hash":"00"}},
	"in_flight":[{"from":"1","to":"2","amount":100,"number":1}],
	"delayed":[{"from":"1","to":"2","amount":100,"late":true,"number":1}],
	"statements":[{"from":"1","number":1,"hash":"a1"},{"from":"1","number":2,"hash":"a2"}]}}
{"event":"cycle"}
{"event":"check"}
{"event":"ack","client":"c","number":3,"answer":"{\"step\":1,\"balance\":1000,\"refused\":true}"}
{"event":"statement","key":"k1","epoch":3,"account":"1","step":1,"hash":"a1"}
{"event":"statement","key":"k2","epoch":5,"account":"1","step":2,"hash":"a2"}
{"event":"statement","key":"k3","epoch":7,"account":"2","step":1,"hash":"b1"}
{"event":"statement","key":"k4","epoch":7,"account":"2","step":2,"hash":"b2"}
{"event":"statement","key":"k5","epoch":8,"account":"2","step":3,"hash":"b3"}
{"event":"standing","account":"1","standing":{"balance":800,"step":2,"hash":"a2","peers":{"2":{"sent":1,"sent_late":1}},"clients":{"c":{"requests":2,"sum":3}}}}
{"event":"rest"}
{"event":"death"}
{"event":"books","books":{"epoch":9,"accounts":{
	"1":{"balance":800,"step":2,"hash":"a2","peers":{"2":{"sent":1,"sent_late":1}},"clients":{"c":{"requests":2,"sum":3}}},
	"2":{"balance":1200,"step":3,"hash":"b3","peers":{"1":{"received":1,"received_late":1}},"clients":{"c":{"requests":1,"sum":3}}}}}}
{"event":"cycle"}
`

func verdict(t *testing.T, journal string) (ok bool, last, details string) {
	t.Helper()
	var out, violations bytes.Buffer
	ok, err := verify(strings.NewReader(journal), &out, &violations)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return ok, lines[len(lines)-1], violations.String()
}

func TestGood(t *testing.T) {
	ok, last, details := verdict(t, journal)
	if want := "crash: 2 cycles, 1 kills mid-epoch, 0 lost, 0 duplicated, 0 torn"; !ok || last != want {
		t.Errorf("%t, %q; want %q\n%s", ok, last, want, details)
	}
}

// A request that was not acknowledged may have been counted, or wait, or not be there.
func TestOutstanding(t *testing.T) {
	for _, there := range []string{
		`"2":{"balance":1000,"step":0,"hash":"00","clients":{"c":{"requests":1,"sum":3}}}},`,
		`"2":{"balance":1000,"step":0,"hash":"00"}},"waiting":[{"to":"2","client":"c","number":3}],`,
	} {
		changed := replace(t, journal, `"2":{"balance":1000,"step":0,"hash":"00"}},`, there)
		if ok, last, details := verdict(t, changed); !ok {
			t.Errorf("%s: %s\n%s", there, last, details)
		}
	}
}

// Each kind of violation is found, and counted as what it is.
func TestViolations(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"money is missing": {`"balance":1000,"step":0`, `"balance":999,"step":0`, "0 lost, 0 duplicated, 1 torn"},
		"money is missing in a live epoch": {
			`"in_flight":100,"delayed":100}`, `"in_flight":100,"delayed":0}`, "0 lost, 0 duplicated, 1 torn",
		},
		"an account is gone": {
			`,
	"2":{"balance":1000,"step":0,"hash":"00"}`, ``, "1 lost, 0 duplicated, 0 torn",
		},
		"an older epoch": {`"epoch":9`, `"epoch":6`, "2 lost, 0 duplicated, 0 torn"},
		"a deposit is lost": {
			`{"from":"1","to":"2","amount":100,"number":1}`, `{"to":"2","amount":100}`, "1 lost, 1 duplicated, 0 torn",
		},
		"a late deposit is lost, and its money": {
			`{"from":"1","to":"2","amount":100,"late":true,"number":1}`, ``, "1 lost, 0 duplicated, 1 torn",
		},
		"a deposit comes twice": {
			`"in_flight":[`, `"in_flight":[{"from":"1","to":"2","number":1},`, "0 lost, 1 duplicated, 0 torn",
		},
		"a deposit has arrived and is on its way": {
			`"balance":1000,"step":0,"hash":"00"`, `"balance":1000,"step":0,"hash":"00","peers":{"1":{"received":1}}`, "0 lost, 1 duplicated, 0 torn",
		},
		"more has arrived than was sent": {
			`{"1":{"received":1,"received_late":1}}`, `{"1":{"received":3,"received_late":1}}`, "0 lost, 2 duplicated, 0 torn",
		},
		"deposits are out of order": {
			`"peers":{"2":{"sent":1,"sent_late":1}},"clients":{"c":{"requests":2,"sum":3}}},
	"2":{"balance":1000,"step":0,"hash":"00"}},
	"in_flight":[`, `"peers":{"2":{"sent":2,"sent_late":1}},"clients":{"c":{"requests":2,"sum":3}}},
	"2":{"balance":1000,"step":0,"hash":"00"}},
	"in_flight":[{"from":"1","to":"2","number":2},`, "0 lost, 0 duplicated, 1 torn",
		},
		"an acknowledged request is lost": {
			`"clients":{"c":{"requests":2,"sum":3}}},
	"2":{"balance":1200`, `"clients":{"c":{"requests":1,"sum":1}}},
	"2":{"balance":1200`, "1 lost, 0 duplicated, 1 torn",
		},
		"all requests of a client are lost": {
			`,"clients":{"c":{"requests":1,"sum":3}}}}}}`, `}}}}`, "1 lost, 0 duplicated, 0 torn",
		},
		"a request counts twice": {
			`{"requests":1,"sum":3}`, `{"requests":2,"sum":6}`, "0 lost, 1 duplicated, 0 torn",
		},
		"another request was counted": {
			`{"requests":1,"sum":3}`, `{"requests":1,"sum":4}`, "0 lost, 0 duplicated, 1 torn",
		},
		"a request of nobody is counted": {
			`"clients":{"c":{"requests":1,"sum":3}}`, `"clients":{"c":{"requests":1,"sum":3},"d":{"requests":1,"sum":1}}`, "0 lost, 1 duplicated, 0 torn",
		},
		"another answer": {
			`{"event":"ack","client":"c","number":1,"answer":"{\"step\":1,\"balance\":900}"}
{"event":"statement"`, `{"event":"ack","client":"c","number":1,"answer":"{\"step\":2,\"balance\":800}"}
{"event":"statement"`, "0 lost, 0 duplicated, 1 torn",
		},
		"one answer for two": {
			`{"event":"ack","client":"c","number":2}`, `{"event":"ack","client":"c","number":2,"answer":"{\"step\":1,\"balance\":800}"}`, "0 lost, 0 duplicated, 1 torn",
		},
		"a statement is left out": {
			`{"event":"statement","key":"k4","epoch":7,"account":"2","step":2,"hash":"b2"}
`, ``, "1 lost, 0 duplicated, 0 torn",
		},
		"a statement is neither here nor there": {
			`,{"from":"1","number":2,"hash":"a2"}`, ``, "1 lost, 0 duplicated, 0 torn",
		},
		"a statement waits twice": {
			`{"from":"1","number":2,"hash":"a2"}`, `{"from":"1","number":2,"hash":"a2"},{"from":"1","number":2,"hash":"a2"}`, "0 lost, 1 duplicated, 0 torn",
		},
		"a statement leaves under another name": {
			`{"event":"statement","key":"k2"`, `{"event":"statement","key":"k1x","epoch":3,"account":"1","step":1,"hash":"a1"}
{"event":"statement","key":"k2"`, "0 lost, 1 duplicated, 0 torn",
		},
		"a statement leaves too soon": {
			`{"event":"death","mid_epoch":true}`, `{"event":"statement","key":"k3","epoch":5,"account":"2","step":1,"hash":"b1"}
{"event":"death","mid_epoch":true}`, "0 lost, 0 duplicated, 1 torn",
		},
		"two histories": {
			`"account":"1","step":2,"hash":"a2"`, `"account":"1","step":2,"hash":"xx"`, "0 lost, 0 duplicated, 2 torn",
		},
		"the last statement never leaves": {
			`{"event":"statement","key":"k5","epoch":8,"account":"2","step":3,"hash":"b3"}
`, ``, "1 lost, 0 duplicated, 0 torn",
		},
		"a statement has not left at rest": {
			`{"event":"rest"}`, `{"event":"rest"}
{"event":"books","books":{"epoch":8,"accounts":{"1":{"balance":800,"step":3,"hash":"a3"},"2":{"balance":1200,"step":3,"hash":"b3"}},
	"statements":[{"from":"1","number":3,"hash":"a3"}]}}`, "",
		},
		"a live bank knows better": {
			`"standing":{"balance":800`, `"standing":{"balance":801`, "0 lost, 0 duplicated, 1 torn",
		},
		"an account has found a gap": {
			`"account":"2","step":1,"hash":"b1"`, `"account":"2","step":1,"hash":"b1","fault":"lost: deposit 3 after 1"`, "1 lost, 0 duplicated, 0 torn",
		},
		"an account has found a copy": {
			`"balance":1000,"step":0`, `"fault":"duplicated: deposit 1 after 1","balance":1000,"step":0`, "0 lost, 1 duplicated, 0 torn",
		},
		"an account is suspended": {`"in_flight":[`, `"suspended":["2: it panicked"],"in_flight":[`, "0 lost, 0 duplicated, 1 torn"},
		"never at rest":           {`{"event":"death"}`, `{"event":"send","client":"d","number":1,"account":"1"}`, "0 lost, 0 duplicated, 1 torn"},
	} {
		t.Run(name, func(t *testing.T) {
			ok, last, details := verdict(t, replace(t, journal, tt.old, tt.new))
			if ok || !strings.HasSuffix(last, tt.want) {
				t.Errorf("%t, %q; want %q\n%s", ok, last, tt.want, details)
			}
		})
	}
}

// A journal in which nothing happened proves nothing.
func TestVacuous(t *testing.T) {
	full := seen{acks: 1, statements: 1, books: 1, moving: 1, atRest: true}
	if nothing := full.nothing(); nothing != "" {
		t.Errorf("%+v: %s", full, nothing)
	}
	for name, without := range map[string]func(*seen){
		"request": func(s *seen) { s.acks = 0 }, "statement": func(s *seen) { s.statements = 0 },
		"store": func(s *seen) { s.books = 0 }, "on its way": func(s *seen) { s.moving = 0 }, "rest": func(s *seen) { s.atRest = false },
	} {
		s := full
		without(&s)
		if nothing := s.nothing(); !strings.Contains(nothing, name) {
			t.Errorf("%+v: %q", s, nothing)
		}
	}
	if ok, last, _ := verdict(t, ""); ok || !strings.Contains(last, "nothing is proved") {
		t.Errorf("nothing at all: %t, %q", ok, last)
	}
}

// What is no journal has no verdict.
func TestMalformed(t *testing.T) {
	for _, bad := range []string{
		`{"event":"unheard of"}`, `{"event":"books"}`, `{"event":"totals"}`, `{"event":"standing"}`, `{"event":`, `no`,
		`{"event":"ack","client":"c","number":1}`,
		`{"event":"send","client":"c","number":1}{"event":"send","client":"c","number":2}`,
		`{"event":"send","client":"c","number":1}{"event":"ack","client":"c","number":1,"answer":"no"}`,
	} {
		if _, err := verify(strings.NewReader(bad), &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%s was verified", bad)
		}
	}
}

func replace(t *testing.T, s, old, replacement string) string {
	t.Helper()
	if !strings.Contains(s, old) {
		t.Fatalf("%q is not in the journal", old)
	}
	return strings.Replace(s, old, replacement, 1)
}
