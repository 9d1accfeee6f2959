// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
)

// Profiles are the files to write profiles of the measured part to; an empty name writes none.
type Profiles struct {
	CPU    string
	Memory string // What was allocated up to the end of the measured part, and what of it is in use.
	Trace  string
}

// Create creates the files, empty: a program can refuse a bad name before it starts anything.
func (p Profiles) Create() error {
	files, err := p.open()
	if err != nil {
		return err
	}
	return files.close()
}

// During runs f and writes the profiles of it.
func (p Profiles) During(f func() error) (err error) {
	files, err := p.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.close()) }()
	if err := files.start(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return files.stop()
}

// profiler has the files open.
type profiler struct{ cpu, memory, trace *os.File }

func (p Profiles) open() (*profiler, error) {
	var out profiler
	for _, f := range []struct {
		name string
		file **os.File
	}{{p.CPU, &out.cpu}, {p.Memory, &out.memory}, {p.Trace, &out.trace}} {
		if f.name == "" {
			continue
		}
		file, err := os.Create(f.name)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("profile: %w", err), out.close())
		}
		*f.file = file
	}
	return &out, nil
}

func (p *profiler) start() error {
	if p.cpu != nil {
		if err := pprof.StartCPUProfile(p.cpu); err != nil {
			return fmt.Errorf("CPU profile: %w", err)
		}
	}
	if p.trace != nil {
		if err := trace.Start(p.trace); err != nil {
			return fmt.Errorf("trace: %w", err)
		}
	}
	return nil
}

func (p *profiler) stop() error {
	if p.cpu != nil {
		pprof.StopCPUProfile()
	}
	if p.trace != nil {
		trace.Stop()
	}
	if p.memory == nil {
		return nil
	}
	runtime.GC() // The profile is as of the last collection.
	if err := pprof.Lookup("allocs").WriteTo(p.memory, 0); err != nil {
		return fmt.Errorf("memory profile: %w", err)
	}
	return nil
}

// close ends what an error has left running and closes the files.
func (p *profiler) close() error {
	var errs []error
	if p.cpu != nil {
		pprof.StopCPUProfile()
	}
	if p.trace != nil {
		trace.Stop()
	}
	for _, f := range []*os.File{p.cpu, p.memory, p.trace} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
