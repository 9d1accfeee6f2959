// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/connector"
)

// record is a record with a payload for a topic.
func record(topic, payload string) connector.Record {
	value, err := json.Marshal(map[string]string{"topic": topic, "payload": payload})
	if err != nil {
		panic(err)
	}
	return connector.Record{Egress: egressID, Typename: recordType, Value: value}
}

// publish takes a record over, and returns what becomes of it.
func publish(t testing.TB, e *egress, r connector.Record) error {
	t.Helper()
	calls, outcome := 0, error(nil)
	e.Publish(r, func(err error) { calls, outcome = calls+1, err })
	if calls != 1 {
		t.Fatalf("done was called %d times", calls)
	}
	return outcome
}

// The answers of StateFun's playground, in the order in which they are asked for.
func TestEgressAnswers(t *testing.T) {
	e := openEgress(t, "greetings", "a/b c", "", "greetings")
	for _, r := range []connector.Record{
		record("greetings", "Hello Bob"), record("greetings", ""), record("greetings", "Zażółć\r\n\x00"),
		record("greetings", "seen once"), record("a/b c", "other"), record("", "nameless"),
		record("greetings", "1"), record("greetings", "2"), record("greetings", "3"), record("greetings", "last"),
	} {
		if err := publish(t, e, r); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, request string
		want          answer
	}{
		{"a payload", get("greetings"), answer{"200", "200", "Hello Bob", false}},
		{"the next, of no bytes", get("greetings"), answer{"200", "200", "", false}},
		{"bytes as they are", get("greetings"), answer{"200", "200", "Zażółć\r\n\x00", false}},
		{"head takes nothing", request("HEAD", "/greetings", ""), answer{"200", "200", "", false}},
		{"what head has seen", get("greetings"), answer{"200", "200", "seen once", false}},
		{"post takes one", request("POST", "/greetings", ""), answer{"200", "200", "1", false}},
		{"a query goes unseen", get("greetings?x=/y"), answer{"200", "200", "2", false}},
		{"with a body nobody reads", request("GET", "/greetings", "body"), answer{"200", "200", "3", true}},
		{"absolute form", request("GET", "http://h/greetings", ""), answer{"200", "200", "last", false}},
		{"empty", get("greetings"), answer{"200", "404", "", false}},
		{"empty, to head", request("HEAD", "/greetings", ""), answer{"200", "404", "", false}},
		{"with a slash", get("a/b%20c"), answer{"200", "200", "other", false}},
		{"now empty too", get("a%2Fb%20c"), answer{"200", "404", "", false}},
		{"no name", get(""), answer{"200", "200", "nameless", false}},
		{"unknown", get("farewells"), answer{"200", "405", "", false}},
		{"unknown: case counts", get("Greetings"), answer{"200", "405", "", false}},
		{"unknown: a slash too many", get("greetings/"), answer{"200", "405", "", false}},
		{"unknown, to post", request("POST", "/farewells", "body"), answer{"200", "405", "", true}},
	}
	for _, tt := range tests {
		if got := ask(t, e.server, tt.request); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	for _, bad := range []string{"/%", "/%zz", "*", "/greetings#x", "http://h"} {
		got := ask(t, e.server, request("GET", bad, ""))
		if got.line != "400" || got.status != "400" || !strings.Contains(got.body, `"bad_path"`) {
			t.Errorf("%s: %+v, want 400 bad_path", bad, got)
		}
	}
}

// What cannot be put into a topic is said to be undeliverable, and why, without the payload.
func TestEgressRefusesRecords(t *testing.T) {
	e := openEgress(t, "greetings")
	unknown := record("farewells\x1b", "secret")
	other := record("greetings", "secret")
	other.Typename = "example/Other"
	torn := record("greetings", "secret")
	torn.Value = torn.Value[1:]
	for want, r := range map[string]connector.Record{
		`unknown topic "farewells\x1b"`: unknown,
		`type "example/Other"`:          other,
		"not JSON like":                 torn,
	} {
		err := publish(t, e, r)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want an error with %s", err, want)
		}
	}
	if got := ask(t, e.server, get("greetings")); got.status != "404" {
		t.Errorf("%+v, want nothing", got)
	}
}

// A full topic drops what comes, keeps what it has, and takes again when there is room.
func TestEgressDropsWhenFull(t *testing.T) {
	e := openEgress(t, "greetings", "others")
	e.topics.most = 3
	send := func(topic string, from, to int) {
		t.Helper()
		for i := from; i <= to; i++ {
			if err := publish(t, e, record(topic, fmt.Sprint(i))); err != nil {
				t.Errorf("record %d: %v; a dropped record is over and done with", i, err)
			}
		}
	}
	fetch := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if got := ask(t, e.server, get("greetings")); got.body != w {
				t.Errorf("fetched %+v, want %q", got, w)
			}
		}
	}
	send("greetings", 1, 5)
	send("others", 1, 3)
	fetch("1")
	send("greetings", 6, 7)
	fetch("2", "3", "6")
	if got := ask(t, e.server, get("greetings")); got.status != "404" {
		t.Errorf("fetched %+v, want nothing", got)
	}
	if e.dropped.count != 3 {
		t.Errorf("%d are counted as dropped, want 4, 5 and 7", e.dropped.count)
	}
}

// A topic holds as many as StateFun's.
func TestEgressTakes2To20(t *testing.T) {
	topics := newEgress(config{"127.0.0.1:0", 1, timeout, discard}, []string{"t", "u"}).topics
	for i := range 1 << 20 {
		if !topics.push("t", "p") {
			t.Fatalf("full after %d", i)
		}
	}
	if topics.push("t", "p") || !topics.push("u", "p") {
		t.Error("one more went in, or there was no room in another topic")
	}
}

// The operator hears of drops at once, and then once in a while, however many there are.
func TestDropsAreLoggedOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := newEgress(config{"127.0.0.1:0", 1, timeout, slog.New(slog.NewTextHandler(&log, nil))}, []string{"t"})
		e.topics.most = 1
		drop := func(n int) {
			for range n {
				if err := publish(t, e, record("t", "secret")); err != nil {
					t.Error(err)
				}
			}
		}
		drop(1001)
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "topic=t dropped=1\n") {
			t.Errorf("1000 drops logged %d lines: %s", lines, log.String())
		}
		time.Sleep(dropsPause)
		drop(1000)
		if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "dropped=1001\n") {
			t.Errorf("1000 drops more, later, logged %d lines: %s", lines, log.String())
		}
		if strings.Contains(log.String(), "secret") {
			t.Errorf("a payload is logged: %s", log.String())
		}
	})
}

// Many clients that fetch while records come get each of them once, and each client gets them in order.
func TestEgressHammer(t *testing.T) {
	const clients, records = 8, 2000
	e := openEgress(t, "t")
	published := make(chan struct{})
	fetched := make([][]int, clients)
	var running sync.WaitGroup
	for i := range clients {
		c := dial(t, e.server)
		running.Go(func() {
			if err := fetchAll(c, published, &fetched[i]); err != nil {
				t.Error(err)
			}
		})
	}
	for n := range records {
		if err := publish(t, e, record("t", fmt.Sprint(n))); err != nil {
			t.Error(err)
		}
	}
	close(published)
	running.Wait()
	seen := map[int]bool{}
	for i, numbers := range fetched {
		for j, n := range numbers {
			if j > 0 && n <= numbers[j-1] {
				t.Errorf("client %d got %d after %d", i, n, numbers[j-1])
			}
			if seen[n] {
				t.Errorf("%d was fetched twice", n)
			}
			seen[n] = true
		}
	}
	if len(seen) != records {
		t.Errorf("%d were fetched, want %d", len(seen), records)
	}
}

// fetchAll fetches until there is nothing and nothing will come.
func fetchAll(c net.Conn, published chan struct{}, into *[]int) error {
	r := bufio.NewReader(c)
	for {
		over := false
		select {
		case <-published:
			over = true
		default:
		}
		if _, err := io.WriteString(c, get("t")); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		switch {
		case err != nil:
			return err
		case resp.Header.Get("Status") == "200":
			n, err := strconv.Atoi(string(body))
			if err != nil {
				return err
			}
			*into = append(*into, n)
		case over:
			return nil
		}
	}
}
