// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	httpconn "github.com/millrace-io/millrace/connectors/http"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
)

// bank is the application as it ships, on a free port.
type bank struct {
	t       *testing.T
	engine  *engine.Engine
	store   backend.Backend
	address string
	close   func()
}

// open opens a bank. Close it before another one opens the same store.
func open(t *testing.T, name string, shards int) *bank {
	t.Helper()
	ctx := t.Context()
	store, err := openStore(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	door, err := httpconn.NewIngress(httpconn.IngressConfig{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Open(ctx, engine.Config{
		Application: application, KeyGroups: keyGroups, Shards: shards, Backend: store, EpochInterval: 5 * time.Millisecond,
	}, module(door, connector.SinkFunc(func(connector.Record) error { return nil })))
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	running := make(chan error, 1)
	go func() { running <- e.Run(run) }()
	select {
	case <-e.Ready():
	case err := <-running:
		t.Fatal(err)
	}
	b := &bank{t: t, engine: e, store: store, address: "http://" + door.Addr().String()}
	b.close = sync.OnceFunc(func() {
		stop()
		if err := <-running; err != nil {
			t.Error(err)
		}
		grace, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.Close(grace); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(b.close)
	return b
}

func (b *bank) transfer(from string, t Transfer) Receipt {
	b.t.Helper()
	receipt, err := transfers.Ask(b.t.Context(), b.engine, from, t)
	if err != nil {
		b.t.Fatal(err)
	}
	return receipt
}

func (b *bank) show(account string) Standing {
	b.t.Helper()
	s, err := standings.Ask(b.t.Context(), b.engine, account, Query{})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// rest waits until no money is on its way, and returns how all accounts stand.
func (b *bank) rest(accounts int) map[string]Standing {
	b.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		all, onTheWay := map[string]Standing{}, int64(0)
		for i := range accounts {
			s := b.show(strconv.Itoa(i))
			for _, p := range s.Peers {
				onTheWay += int64(p.Sent+p.SentLate) - int64(p.Received+p.ReceivedLate)
			}
			all[strconv.Itoa(i)] = s
		}
		if onTheWay == 0 {
			return all
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%d deposits never arrive", onTheWay)
		}
	}
}

func (b *bank) books() *Books {
	b.t.Helper()
	books, err := readBooks(b.t.Context(), b.store)
	if err != nil {
		b.t.Fatal(err)
	}
	return books
}

// What is asked for is done if the money is there. All of it counts.
func TestTransfer(t *testing.T) {
	b := open(t, "memory", 2)
	for n, tt := range []struct {
		transfer Transfer
		want     Receipt
	}{
		{Transfer{To: "1", Amount: 300}, Receipt{Step: 1, Balance: 700}},
		{Transfer{To: "1", Amount: 200, Late: true}, Receipt{Step: 2, Balance: 500}},
		{Transfer{To: "1", Amount: 501}, Receipt{Step: 3, Balance: 500, Refused: true}},
		{Transfer{To: "1", Amount: 0}, Receipt{Step: 4, Balance: 500, Refused: true}},
		{Transfer{To: "1", Amount: -1}, Receipt{Step: 5, Balance: 500, Refused: true}},
		{Transfer{Amount: 1}, Receipt{Step: 6, Balance: 500, Refused: true}},
		{Transfer{To: strings.Repeat("1", 1<<16), Amount: 1}, Receipt{Step: 7, Balance: 500, Refused: true}},
		{Transfer{To: "1", Amount: 500}, Receipt{Step: 8, Balance: 0}},
	} {
		tt.transfer.Client, tt.transfer.Number = "c", uint64(n+1)
		if got := b.transfer("0", tt.transfer); got != tt.want {
			t.Errorf("%+.100v: %+v, want %+v", tt.transfer, got, tt.want)
		}
	}
	all := b.rest(2)
	for account, want := range map[string]Standing{
		"0": {Balance: 0, Step: 8, Peers: map[string]Peer{"1": {Sent: 2, SentLate: 1}}, Clients: map[string]Client{"c": {8, 8, 36}}},
		"1": {Balance: 2000, Step: 3, Peers: map[string]Peer{"0": {Received: 2, ReceivedLate: 1}}},
	} {
		got := all[account]
		got.Hash = ""
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("account %s: %+v, want %+v", account, got, want)
		}
	}
}

// An account says what is wrong: the first thing that was.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(ctx context.Context, b *bank) error
		want string
	}{
		"a request again": {func(ctx context.Context, b *bank) error {
			for _, number := range []uint64{1, 3, 3, 2} {
				b.transfer("a", Transfer{Client: "c", Number: number})
			}
			return nil
		}, "duplicated: request 3 of c after 3"},
		"money of nobody": {func(ctx context.Context, b *bank) error {
			return deposits.To("a").Submit(ctx, b.engine, Deposit{Amount: 1, Number: 1})
		}, "torn: a deposit of 1 without a sender"},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, "memory", 1)
			if err := tt.do(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if got := b.show("a").Fault; got != tt.want {
				t.Errorf("fault %q, want %q", got, tt.want)
			}
		})
	}
}

// Deposits between two accounts must be the next ones.
func TestDeposits(t *testing.T) {
	for _, tt := range []struct {
		numbers []uint64
		late    bool
		want    string
	}{
		{[]uint64{1, 2, 3}, false, ""},
		{[]uint64{1, 2, 3}, true, ""},
		{[]uint64{1, 3}, false, "lost: deposit 3 (late: false) from a after 1"},
		{[]uint64{1, 1}, false, "duplicated: deposit 1 (late: false) from a after 1"},
		{[]uint64{1, 2, 3, 2}, true, "duplicated: deposit 2 (late: true) from a after 3"},
	} {
		p, fault := Peer{}, ""
		for _, n := range tt.numbers {
			if found := p.receive(Deposit{Number: n, Late: tt.late}, "a"); fault == "" {
				fault = found
			}
		}
		if fault != tt.want {
			t.Errorf("%+v: %q", tt, fault)
		}
	}
}

// The money is all there in each epoch that is looked at, and in the end it is where it was sent to, whatever the
// number of shards, this time and the next.
func TestConservation(t *testing.T) {
	const accounts, rounds = 20, 400
	name := "file://" + filepath.Join(t.TempDir(), "store") + "?compact=65536"
	sent := make(map[[2]string]int64)
	var last map[string]Standing
	for round, shards := range []int{1, 3, 2, 7} {
		b := open(t, name, shards)
		for account, want := range last {
			if got := b.show(account); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%d shards: account %s: %+v, want %+v", shards, account, got, want)
			}
		}
		rng := rand.New(rand.NewPCG(uint64(shards), 1))
		for i := range rounds {
			from, to := strconv.Itoa(rng.IntN(accounts)), strconv.Itoa(rng.IntN(accounts))
			amount := 1 + rng.Int64N(200)
			r := b.transfer(from, Transfer{To: to, Amount: amount, Late: i%3 == 0, Client: from, Number: uint64(round*rounds + i + 1)})
			if !r.Refused {
				sent[[2]string{from, to}] += amount
			}
			if i%20 == 0 {
				books := b.books()
				if totals := books.totals(); totals.Total() != int64(len(books.Accounts))*openingBalance {
					t.Fatalf("%d shards: %v", shards, totals)
				}
			}
		}
		last = b.rest(accounts)
		b.close()
	}
	for account, s := range last {
		want := int64(openingBalance)
		for pair, amount := range sent {
			if pair[0] == account {
				want -= amount
			}
			if pair[1] == account {
				want += amount
			}
		}
		if s.Balance != want || s.Fault != "" {
			t.Errorf("account %s: balance %d, want %d; fault %q", account, s.Balance, want, s.Fault)
		}
	}
}

// A request that is sent again under its key is answered as the first time, and counts once.
func TestSentAgain(t *testing.T) {
	b := open(t, "file://"+filepath.Join(t.TempDir(), "store"), 2)
	post := func() string {
		t.Helper()
		body := `{"to":"b","amount":10,"client":"c","number":1}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.address+"/call/bank/account/a", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/vnd.bank/Transfer")
		req.Header.Set("Idempotency-Key", "c-1")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s, %v", resp.StatusCode, answer, err)
		}
		return string(answer)
	}
	first := post()
	if again := post(); first != `{"step":1,"balance":990}` || again != first {
		t.Errorf("answered with %s, and then with %s", first, again)
	}
	if books := b.books(); books.Accounts["a"].Clients["c"].Requests != 1 {
		t.Errorf("the books say %+v", books.Accounts["a"])
	}
}

// Books that do not add up say so.
func TestTotals(t *testing.T) {
	good := Totals{Epoch: 7, Accounts: 3, Balances: 2500, InFlight: 300, Delayed: 200}
	if got, want := good.String(), "epoch 7: 2500 in 3 accounts + 300 on the way + 200 late = 3000, as it was"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	good.Delayed--
	if got := good.String(); !strings.HasSuffix(got, "= 2999, WRONG: 3000 was paid in") {
		t.Errorf("%q", got)
	}
}

// A store is named by its URL; what names none is refused.
func TestStoreNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"", "memoryless", "file:", "file://", "paper://" + dir, "file://" + dir + "?compact=0", "file://" + dir + "?compact=x", "file://%"} {
		if store, err := openStore(t.Context(), name); err == nil {
			t.Errorf("%q was opened: %v", name, store.Close())
		}
	}
	store, err := openStore(t.Context(), "file://"+dir+"?compact=4096")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(t.Context(), "file://"+dir); err == nil {
		t.Error("it was opened twice")
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
