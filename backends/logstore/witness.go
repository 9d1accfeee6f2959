// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// witness is a file apart from the log that knows of its last record. A log that was cut off exactly behind
// an earlier record, or has lost its last segment, looks like a log that never had more; the witness tells.
//
// It is written after each commit and not synced with it: that would cost a second sync. So it is exact when
// the process has died, and when the machine has, it is as old as the system's last write-back or the last
// segment. It never knows of a record that is not durable. Its two slots are written in turn, so that a crash
// can damage at most the newer; at least one is always good.
type witness struct {
	file   disk.File
	id     format.StoreID
	number uint64 // How often it has been written.
	known  known
}

// known is what a witness knows of.
type known struct {
	sequence uint64
	epoch    statefun.Epoch
}

const (
	witnessName = "witness"
	slotBytes   = format.HeaderBytes + 20
)

// createWitness writes both slots, durably but for the name.
func createWitness(fs disk.FS, id format.StoreID) error {
	f, err := fs.Create(witnessName)
	if err != nil {
		return err
	}
	w := &witness{file: f, id: id}
	if err := errors.Join(w.note(known{}), w.note(known{})); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(w.sync(), f.Close())
}

// openWitness reads both slots.
func openWitness(fs disk.FS, id format.StoreID) (*witness, error) {
	f, err := fs.Open(witnessName)
	if err != nil {
		return nil, missing(err, witnessName)
	}
	w := &witness{file: f, id: id}
	var bad [2]error
	for slot := range uint64(2) {
		bad[slot] = w.read(slot)
	}
	if bad[0] != nil && bad[1] != nil {
		return nil, errors.Join(bad[0], bad[1], f.Close())
	}
	return w, nil
}

func (w *witness) read(slot uint64) error {
	at := int64(slot * format.PageBytes)
	b := make([]byte, slotBytes)
	n, err := w.file.ReadAt(b, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h, err := format.ParseHeader(witnessName, b[:n], format.KindWitness)
	switch {
	case err != nil:
		return err
	case h.Store != w.id:
		return h.Want(witnessName, w.id, h.Number)
	case n < slotBytes, binary.LittleEndian.Uint32(b[slotBytes-4:]) != format.Checksum(b[:slotBytes-4]), h.Number%2 != slot:
		return format.Corrupt(witnessName, at, "slot checksum")
	}
	if h.Number >= w.number {
		w.number = h.Number
		w.known.sequence = binary.LittleEndian.Uint64(b[format.HeaderBytes:])
		w.known.epoch = statefun.Epoch(binary.LittleEndian.Uint64(b[format.HeaderBytes+8:]))
	}
	return nil
}

// note writes what is known into the slot that is older.
func (w *witness) note(k known) error {
	w.number++
	var room [slotBytes]byte
	b := format.AppendHeader(room[:0], format.Header{Kind: format.KindWitness, Store: w.id, Number: w.number})
	b = binary.LittleEndian.AppendUint64(b, k.sequence)
	b = binary.LittleEndian.AppendUint64(b, uint64(k.epoch))
	b = binary.LittleEndian.AppendUint32(b, format.Checksum(b))
	if _, err := w.file.WriteAt(b, int64(w.number%2*format.PageBytes)); err != nil {
		return fmt.Errorf("%s: %w", witnessName, err)
	}
	w.known = k
	return nil
}

func (w *witness) sync() error {
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("%s: %w: %w", witnessName, backend.ErrSync, err)
	}
	return nil
}
