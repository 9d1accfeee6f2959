// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Store is the directory of a bank, and how the bank is told of it.
type Store struct {
	Backend string // file or pebble.
	Dir     string
	Compact int // It tidies up each time that it has grown by so many bytes.
}

// URL is what the bank calls it.
func (s Store) URL() string { return fmt.Sprintf("%s://%s?compact=%d", s.Backend, s.Dir, s.Compact) }

// Copy copies what the store holds now to another directory.
func (s Store) Copy(dir string) (Store, error) {
	err := os.CopyFS(dir, os.DirFS(s.Dir))
	s.Dir = dir
	return s, err
}

// Replace puts a copy of the store where the store was: with other files, that look the same.
func (s Store) Replace() error {
	copied, err := s.Copy(s.Dir + ".copy")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		return err
	}
	return os.Rename(copied.Dir, s.Dir)
}

// Books returns what a store holds that no bank has open. They are read from a copy, so that the next bank finds the
// store as the last one has left it. A directory that is not there holds nothing.
func (s Store) Books(bank string) (books json.RawMessage, err error) {
	if _, err := os.Stat(s.Dir); os.IsNotExist(err) {
		return json.RawMessage(`{}`), nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(s.Dir), "books")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	copied, err := s.Copy(filepath.Join(dir, "store"))
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(bank, "inspect", "-backend", copied.URL())
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%v: %w: %s", cmd.Args, err, stderr.Bytes())
	}
	return bytes.TrimSpace(stdout.Bytes()), nil
}
