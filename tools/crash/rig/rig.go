// SPDX-License-Identifier: Apache-2.0

// Package rig runs examples/bank as a user does: the program itself, over HTTP, with its store on a disk. It ends it in
// many ways, starts it again, and writes down what the world has been told and what the store holds, for crashverify to
// judge.
package rig

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Patience is how long anything may take that must not take for ever: a start, an end, an answer.
const Patience = 30 * time.Second

// Programs are the programs that take part.
type Programs struct {
	Bank    string // examples/bank.
	Watched string // The same with the build tag crashpoints: it says when it commits.
	Verify  string // tools/crashverify.
}

// In names the programs in a directory.
func In(dir string) Programs {
	return Programs{filepath.Join(dir, "bank"), filepath.Join(dir, "bank-watched"), filepath.Join(dir, "crashverify")}
}

// Build builds them into a directory, the bank with build tags. root is that of the repository.
func Build(root, dir, tags string) (Programs, error) {
	p := In(dir)
	for _, build := range [][]string{
		{"examples/bank", "-tags", tags, "-o", p.Bank, "."},
		{"examples/bank", "-tags", "crashpoints," + tags, "-o", p.Watched, "."},
		{"tools", "-o", p.Verify, "./crashverify"},
	} {
		cmd := exec.Command("go", append([]string{"build"}, build[1:]...)...)
		cmd.Dir, cmd.Env = filepath.Join(root, build[0]), append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("%v in %s: %w: %s", cmd.Args, build[0], err, out)
		}
	}
	return p, nil
}

// Rig is one store, the banks that have it open one after the other, and their clients.
type Rig struct {
	Programs
	Store    Store
	Journal  *Journal
	Clients  *Clients
	Accounts int
}

// Start starts a bank and waits until it takes requests.
func (r *Rig) Start(program string, o Options) (b *Bank, address string, err error) {
	if b, err = Start(program, r.Store, o, r.Journal); err != nil {
		return nil, "", err
	}
	address, err = b.WaitReady()
	if err != nil {
		return nil, "", fmt.Errorf("%w\n%w", err, b.Kill())
	}
	return b, address, nil
}

// Bury notes the end of a bank, whether that was within an epoch, and what its store holds, and has that judged.
func (r *Rig) Bury(midEpoch bool) error {
	if err := r.Clients.Pause(); err != nil {
		return err
	}
	r.Journal.Write(Event{Event: "death", MidEpoch: midEpoch})
	return r.Inspect()
}

// Inspect notes what the store holds while no bank has it open, and has that judged.
func (r *Rig) Inspect() error {
	books, err := r.Store.Books(r.Bank)
	if err != nil {
		return err
	}
	r.Journal.Write(Event{Event: "books", Books: books})
	return r.Journal.Check()
}

// Standings asks a live bank how all accounts stand.
func (r *Rig) Standings(address string) ([]Standing, error) {
	client := &http.Client{Timeout: Patience}
	defer client.CloseIdleConnections()
	all := make([]Standing, r.Accounts)
	for i := range all {
		if err := all[i].ask(client, address, strconv.Itoa(i)); err != nil {
			return nil, err
		}
		r.Journal.Write(Event{Event: "standing", Account: strconv.Itoa(i), Standing: all[i].text})
	}
	return all, nil
}

// Rest has the clients finish, waits until no money is on its way any more, ends the bank, and demands that everything
// has come to its end.
func (r *Rig) Rest(b *Bank, address string) error {
	if err := r.Clients.Do(address, 0); err != nil {
		return err
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(Patience); ; <-poll.C {
		standings, err := r.Standings(address)
		switch {
		case err != nil:
			return err
		case onTheWay(standings) == 0:
			return r.rest(b)
		case time.Now().After(deadline):
			return fmt.Errorf("after %v %d deposits have not arrived", Patience, onTheWay(standings))
		}
	}
}

func (r *Rig) rest(b *Bank) error {
	if err := b.Terminate(1); err != nil {
		return err
	}
	r.Journal.Write(Event{Event: "rest"})
	return r.Bury(false)
}

// Standing is how an account stands, as far as the rig needs to know.
type Standing struct {
	Peers map[string]map[string]uint64
	text  []byte
}

func (s *Standing) ask(client *http.Client, address, account string) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+address+"/call/bank/account/"+account, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/vnd.bank/Query")
	status, answer, err := do(client, req)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("account %s: %d %s", account, status, answer)
	}
	if err != nil {
		return err
	}
	s.text = []byte(answer)
	return json.Unmarshal(s.text, s)
}

// onTheWay is how many deposits were sent and have not been received.
func onTheWay(standings []Standing) (n int64) {
	for _, s := range standings {
		for _, p := range s.Peers {
			n += int64(p["sent"]+p["sent_late"]) - int64(p["received"]+p["received_late"])
		}
	}
	return n
}
