// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"sync/atomic"
	"time"
)

// Parker lets one goroutine sleep until another wakes it. It sleeps on a channel, so that it is visible
// to the scheduler and to testing/synctest.
//
//	owner:   parked = true · look again · sleep
//	waker:   publish work  · parked true→false · send
//
// Both sides publish before they look, hence at least one sees the other and no wake-up is lost. Whoever
// turns parked from true to false owns the single token.
type Parker struct {
	parked atomic.Bool
	wake   chan struct{}
	timer  *time.Timer // Owned by the goroutine that parks.
	parks  int64
}

// NewParker returns a parker whose owner is awake.
func NewParker() *Parker {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &Parker{wake: make(chan struct{}, 1), timer: timer}
}

// Park sleeps until Wake, or until d has passed if d is not negative. It returns at once when ready
// reports true after the parker has been marked as asleep. Only the owner calls it.
func (p *Parker) Park(ready func() bool, d time.Duration) {
	p.parked.Store(true)
	if ready() {
		p.unpark()
		return
	}
	p.parks++
	if d < 0 {
		<-p.wake
		return
	}
	p.timer.Reset(d)
	select {
	case <-p.wake:
		p.timer.Stop()
	case <-p.timer.C:
		p.unpark()
	}
}

// unpark ends a sleep that nobody has ended; if somebody just did, their token is on its way.
func (p *Parker) unpark() {
	if !p.parked.CompareAndSwap(true, false) {
		<-p.wake
	}
}

// Wake ends the owner's sleep, if it sleeps. It costs a load when the owner is awake.
func (p *Parker) Wake() {
	if p.parked.Load() && p.parked.CompareAndSwap(true, false) {
		p.wake <- struct{}{}
	}
}

// Parks returns how often the owner has slept. Only the owner calls it.
func (p *Parker) Parks() int64 { return p.parks }
