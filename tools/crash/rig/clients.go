// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Clients are customers of the bank. Each has one request under way at most, and sends it, with the same key, until it
// is acknowledged, whatever happens to the bank meanwhile.
type Clients struct {
	journal  *Journal
	accounts int
	http     *http.Client
	running  sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond
	round   round // Guarded by mu, as all that follows.
	parked  int
	count   int
	done    bool
	failed  error
}

// round is one time that the bank is there.
type round struct {
	number  int
	address string // Empty: it is not there.
	ctx     context.Context
	over    context.CancelFunc
	most    int // How many new requests each client may send.
	through int // How many clients are through with it.
}

// NewClients returns customers who wait for the bank to open.
func NewClients(count, accounts int, seed uint64, j *Journal) *Clients {
	c := &Clients{
		journal: j, accounts: accounts, count: count,
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: count, DisableCompression: true}},
	}
	c.changed.L = &c.mu
	c.round.ctx, c.round.over = context.WithCancel(context.Background())
	for i := range count {
		customer := &client{Clients: c, name: "c" + strconv.Itoa(i), home: i % accounts, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
		c.running.Go(customer.run)
	}
	return c
}

// Open tells them where the bank is.
func (c *Clients) Open(address string) { c.begin(address, math.MaxInt) }

// Do has each of them bring what is under way to its end, and then send so many requests more. It returns when they
// are through, or the bank does not answer.
func (c *Clients) Do(address string, requests int) error {
	c.begin(address, requests)
	return c.wait(func() bool { return c.round.through == c.count })
}

func (c *Clients) begin(address string, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round.over()
	c.round = round{number: c.round.number + 1, address: address, most: most}
	c.round.ctx, c.round.over = context.WithCancel(context.Background())
	c.changed.Broadcast()
}

// Pause has them send nothing until the bank opens again, gives up what is under way, and returns when they wait.
func (c *Clients) Pause() error {
	c.begin("", 0)
	return c.wait(func() bool { return c.parked == c.count })
}

func (c *Clients) wait(done func() bool) error {
	over := time.AfterFunc(Patience, func() { c.fail(fmt.Errorf("clients wait for answers for %v", Patience)) })
	defer over.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !done() && c.failed == nil {
		c.changed.Wait()
	}
	return c.failed
}

// Close sends them home.
func (c *Clients) Close() error {
	c.mu.Lock()
	c.done = true
	c.round.over()
	c.changed.Broadcast()
	c.mu.Unlock()
	c.running.Wait()
	c.http.CloseIdleConnections()
	return c.failed
}

func (c *Clients) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = errors.Join(c.failed, err)
	c.changed.Broadcast()
}

// client is one of them. Its goroutine owns the fields.
type client struct {
	*Clients
	name    string
	home    int
	rng     *rand.Rand
	number  uint64
	pending *request
}

type request struct {
	number  uint64
	account string
	call    bool
	body    []byte
}

func (c *client) run() {
	for last := 0; ; {
		r, ok := c.await(last)
		if !ok {
			return
		}
		for made := 0; c.turn(r, made); made++ {
		}
		last = r.number
	}
}

// await waits for a round behind the last one.
func (c *client) await(last int) (r round, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parked++
	if last == c.round.number {
		c.round.through++
	}
	c.changed.Broadcast()
	for !c.done && (c.round.number <= last || c.round.address == "") {
		c.changed.Wait()
	}
	c.parked--
	return c.round, !c.done
}

// turn does one request, after so many in this round, and reports whether there can be another one.
func (c *client) turn(r round, made int) bool {
	if r.ctx.Err() != nil || made >= r.most && c.pending == nil {
		return false
	}
	if c.pending == nil {
		c.pending = c.ask()
		c.journal.Write(Event{Event: "send", Client: c.name, Number: c.pending.number, Account: c.pending.account})
	}
	// Some send it once more, or twice at the same time: a client that has not heard the answer would.
	again, twice := c.rng.IntN(16) == 0, c.rng.IntN(16) == 0
	other := make(chan bool, 1)
	if twice {
		go func() { other <- c.acknowledged(r) }()
	} else {
		other <- true
	}
	answered := c.acknowledged(r)
	if !<-other || !answered || again && !c.acknowledged(r) {
		return false
	}
	c.pending = nil
	return true
}

// ask makes a request. Few clients share an account, so that what it keeps of them stays small.
func (c *client) ask() *request {
	c.number++
	account := func() int { return c.rng.IntN(c.accounts) }
	from := c.home
	if c.rng.IntN(2) == 0 {
		from = (c.home + 1) % c.accounts
	}
	body, err := json.Marshal(map[string]any{
		"to": strconv.Itoa(account()), "amount": c.rng.IntN(300), "late": c.rng.IntN(3) == 0, "client": c.name, "number": c.number,
	})
	if err != nil {
		panic(err) // It is strings and numbers.
	}
	return &request{c.number, strconv.Itoa(from), c.rng.IntN(4) == 0, body}
}

// acknowledged sends the request until it is acknowledged; it gives up when the round is over or nobody answers.
func (c *client) acknowledged(r round) bool {
	for {
		status, answer, err := c.post(r)
		switch {
		case err != nil: // Who has died will not answer. The next round goes on.
			return false
		case status == http.StatusAccepted || status == http.StatusOK:
			c.journal.Write(Event{Event: "ack", Client: c.name, Number: c.pending.number, Answer: answer})
			return true
		case status != http.StatusServiceUnavailable && status != http.StatusGatewayTimeout:
			c.fail(fmt.Errorf("request %d of %s: %d %s", c.pending.number, c.name, status, answer))
			return false
		}
		select {
		case <-r.ctx.Done():
			return false
		case <-time.After(5 * time.Millisecond): // Sooner than Retry-After says: others are waiting for the bank to be killed.
		}
	}
}

func (c *client) post(r round) (status int, answer string, err error) {
	url := "http://" + r.address
	if c.pending.call {
		url += "/call"
	}
	req, err := http.NewRequestWithContext(r.ctx, http.MethodPost, url+"/bank/account/"+c.pending.account, bytes.NewReader(c.pending.body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/vnd.bank/Transfer")
	req.Header.Set("Idempotency-Key", c.name+"-"+strconv.FormatUint(c.pending.number, 10))
	return do(c.http, req)
}

func do(client *http.Client, req *http.Request) (status int, answer string, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
