// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/backends/file"
	"github.com/millrace-io/millrace/backends/memory"
	httpconn "github.com/millrace-io/millrace/connectors/http"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
)

// serveArg is the first argument of a process that is to be overloaded; the second is its settings. What it says on
// stdout is one said a line, what it is told on stdin one offer a line; it ends with its stdin.
const serveArg = "-serve"

const (
	epochInterval = 100 * time.Millisecond
	sampleEvery   = 500 * time.Millisecond
)

// settings are those of the process.
type settings struct {
	Dir           string `json:"dir"` // Of the store.
	Backend       string `json:"backend"`
	QueueBytesMax int64  `json:"queue_bytes_max"`
	Keys          int    `json:"keys"`
	BodyBytes     int    `json:"body_bytes"`
	Hashes        int    `json:"hashes"` // Of each message.
}

func (s settings) body() []byte { return bytes.Repeat([]byte{'x'}, s.BodyBytes) }

// said is one of the things that the process says.
type said struct {
	Address string  `json:"address,omitempty"`
	Sample  *sample `json:"sample,omitempty"`
	Offered *counts `json:"offered,omitempty"`
}

// sample is how the process is at a moment. Times are in microseconds since 1970.
type sample struct {
	At         int64   `json:"at"`
	RSS        int64   `json:"rss"`
	CPU        float64 `json:"cpu"` // Seconds, so far.
	Queued     int64   `json:"queued"`
	QueuedPeak int64   `json:"queued_peak"`
	Executed   int64   `json:"executed"`
	Commits    []int64 `json:"commits"` // Since the last sample.
}

// offer is a load from inside, at a rate; 0: as much as is executed. A sample follows it: one of no seconds is a
// question for one.
type offer struct {
	Rate    float64 `json:"rate"`
	Seconds float64 `json:"seconds"`
}

// Worker works: its answer is a hash.
type Worker interface {
	Work(ctx *engine.Context, task []byte) (hash int64, err error)
}

var (
	taskType = engine.Bytes("bench/Task")
	worker   = engine.Define[Worker]("bench/worker")
	_        = engine.Answer(worker, taskType, engine.Int64, Worker.Work)
)

type workerFunction struct {
	done     engine.Value[int64]
	hashes   int
	executed *atomic.Int64 // Those of Stats are some turns old while a shard is busy.
}

func (w workerFunction) Work(ctx *engine.Context, task []byte) (int64, error) {
	h := sha256.New()
	for range w.hashes {
		h.Write(task)
	}
	*w.done.Edit(ctx)++
	w.executed.Add(1)
	return int64(binary.LittleEndian.Uint64(h.Sum(nil))), nil
}

// watched is a backend that notes when something was committed.
type watched struct {
	backend.Backend
	mu      sync.Mutex
	commits []int64 // Guarded by mu.
}

func (w *watched) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	err := w.Backend.Commit(ctx, cp, parts)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.commits = append(w.commits, time.Now().UnixMicro())
	}
	return err
}

func (w *watched) take() (commits []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	commits, w.commits = w.commits, nil
	return commits
}

// inlet is a door for those within the process.
type inlet struct{ connector.Entry }

func (in *inlet) Open(_ context.Context, entry connector.Entry) error {
	in.Entry = entry
	return nil
}

func (*inlet) Close(context.Context) error { return nil }

func serve(text string, stdin io.Reader, stdout io.Writer) (err error) {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store := &watched{}
	options := backend.Options{Application: "bench", KeyGroups: 128}
	if s.Backend == "file" {
		store.Backend, err = file.Open(ctx, file.Config{Dir: s.Dir}, options)
	} else {
		store.Backend, err = memory.Open(ctx, options)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	door, err := httpconn.NewIngress(httpconn.IngressConfig{Address: "127.0.0.1:0", Ack: httpconn.AckAccepted})
	if err != nil {
		return err
	}
	inside, executed := &inlet{}, &atomic.Int64{}
	e, err := engine.Open(ctx, engine.Config{
		Application: options.Application, KeyGroups: options.KeyGroups, Backend: store, EpochInterval: epochInterval,
		Shards: 1, QueueBytesMax: s.QueueBytesMax, InboxSlots: 1 << 18, // Bytes are what is to run out, not slots.
	}, engine.Module{Name: "bench", Bind: func(b *engine.Binder) error {
		engine.Bind(b, worker, func(schema *engine.Schema) Worker {
			return workerFunction{engine.NewValue(schema, "done", engine.Int64), s.Hashes, executed}
		})
		b.Door(door)
		b.Door(inside)
		return nil
	}})
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- e.Run(ctx) }()
	select {
	case <-e.Ready():
	case err := <-running:
		return errors.Join(err, e.Close(ctx))
	}
	out := &outlet{out: json.NewEncoder(stdout), sample: func() sample {
		stats := e.Stats()
		return sample{
			At: time.Now().UnixMicro(), RSS: residentBytes(), CPU: cpuSeconds(), Queued: stats.QueuedBytes,
			QueuedPeak: stats.QueuedBytesPeak, Executed: executed.Load(), Commits: store.take(),
		}
	}}
	out.say(said{Address: door.Addr().String()})
	ended, sampled := make(chan struct{}), make(chan struct{})
	go out.sampleUntil(ended, sampled)
	for told := bufio.NewScanner(stdin); err == nil && told.Scan(); {
		var o offer
		if err = json.Unmarshal(told.Bytes(), &o); err == nil {
			c := o.send(ctx, inside, s, executed)
			out.saySample()
			out.say(said{Offered: &c})
		}
	}
	close(ended)
	<-sampled
	grace, cancelGrace := context.WithTimeout(ctx, time.Minute)
	defer cancelGrace()
	return errors.Join(err, e.Close(grace))
}

// outlet says one thing at a time.
type outlet struct {
	mu     sync.Mutex
	out    *json.Encoder // Guarded by mu.
	sample func() sample
}

func (o *outlet) say(s said) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.out.Encode(s) // When it fails, nobody is left to tell.
}

// saySample has mu while it looks, so that samples are said in order.
func (o *outlet) saySample() {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.sample()
	_ = o.out.Encode(said{Sample: &s})
}

func (o *outlet) sampleUntil(ended <-chan struct{}, sampled chan<- struct{}) {
	defer close(sampled)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			o.saySample()
		case <-ended:
			return
		}
	}
}
