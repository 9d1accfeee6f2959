// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/internal/epochlog"
)

// manifest says what a store is and what it consists of: its base, and where in the log begins what is not in it.
// It is replaced as a whole. A store is there when its manifest is.
type manifest struct {
	id          format.StoreID
	number      uint64 // One more with each manifest.
	application string
	keyGroups   int
	generation  statefun.Generation // The newest when it was written.
	from        epochlog.Position
	checkpoint  []byte // The description of the newest epoch before from; none when there is none.
	kind        string // Of the base.
	section     []byte // The base's.
}

const (
	manifestName    = "manifest"
	manifestNewName = "manifest.new"
	// manifestBytesMax bounds what is read; names and positions of a checkpoint are most of it.
	manifestBytesMax = 1 << 30
)

func (m *manifest) append(dst []byte) []byte {
	start := len(dst)
	dst = format.AppendHeader(dst, format.Header{Kind: format.KindManifest, Store: m.id, Number: m.number})
	dst = format.AppendBytes(dst, m.application)
	for _, v := range []uint64{
		uint64(m.keyGroups), uint64(m.generation),
		m.from.Segment, uint64(m.from.Offset), m.from.Sequence, uint64(m.from.Checksum), m.from.Bytes,
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = format.AppendBytes(dst, m.checkpoint)
	dst = format.AppendBytes(dst, m.kind)
	dst = format.AppendBytes(dst, m.section)
	return binary.LittleEndian.AppendUint32(dst, format.Checksum(dst[start:]))
}

func parseManifest(b []byte) (*manifest, error) {
	h, err := format.ParseHeader(manifestName, b, format.KindManifest)
	if err != nil {
		return nil, err
	}
	body := len(b) - 4
	if body < format.HeaderBytes || binary.LittleEndian.Uint32(b[body:]) != format.Checksum(b[:body]) {
		return nil, format.Corrupt(manifestName, format.HeaderBytes, "checksum")
	}
	m := &manifest{id: h.Store, number: h.Number}
	f := format.NewFields(b[format.HeaderBytes:body])
	m.application = string(f.Bytes())
	m.keyGroups = int(f.Uint(statefun.KeyGroupsMax))
	m.generation = statefun.Generation(f.Uint(math.MaxUint64))
	m.from = epochlog.Position{
		Segment: f.Uint(math.MaxUint64), Offset: int64(f.Uint(math.MaxInt64)),
		Sequence: f.Uint(math.MaxUint64), Checksum: uint32(f.Uint(math.MaxUint32)), Bytes: f.Uint(math.MaxUint64),
	}
	m.checkpoint = f.Bytes()
	m.kind = string(f.Bytes())
	m.section = f.Bytes()
	if err := f.Err(); err != nil || m.from.Offset%format.PageBytes != 0 || m.from.Offset < format.PageBytes {
		return nil, format.Corrupt(manifestName, format.HeaderBytes, "fields do not decode")
	}
	return m, nil
}

// readManifest returns nil when there is none.
func readManifest(dir disk.FS) (*manifest, error) {
	f, err := dir.Open(manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := readAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return parseManifest(b)
}

func readAll(f disk.File) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > manifestBytesMax {
		return nil, format.Corrupt(manifestName, 0, "%d bytes, at most %d are possible", size, manifestBytesMax)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) { // Shorter than it was: what is there will not have the checksum.
		err = nil
	}
	return b[:n], err
}

// write makes m the manifest. All that it names is durable by then, names of files included.
func (m *manifest) write(dir disk.FS) error {
	f, err := dir.Create(manifestNewName)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(m.append(nil), 0); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("%s: %w: %w", manifestNewName, backend.ErrSync, err), f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := dir.SyncDir(); err != nil {
		return fmt.Errorf("%w: %w", backend.ErrSync, err)
	}
	if err := dir.Rename(manifestNewName, manifestName); disk.Full(err) {
		return err
	} else if err != nil { // It may have happened.
		return fmt.Errorf("%w: %w", backend.ErrSync, err)
	}
	if err := dir.SyncDir(); err != nil {
		return fmt.Errorf("%w: %w", backend.ErrSync, err)
	}
	return nil
}

// missing turns the absence of a file that must be there into what it is: damage.
func missing(err error, name string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return format.Corrupt(name, 0, "missing")
	}
	return err
}
