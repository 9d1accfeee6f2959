// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// process is the process that serves the functions.
type process struct {
	command *exec.Cmd
	control io.WriteCloser // It ends when this is closed, whatever becomes of this process.
	out     *bufio.Reader
	address string // HOST:PORT, or the path of a socket.
	dir     string // Of the socket.
}

// start starts this program again, with ServeCommand.
func start(network Network, server Server, stderr io.Writer) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{}
	listen := "127.0.0.1:0"
	if network == Unix {
		if p.dir, err = os.MkdirTemp("", "loadgen"); err != nil {
			return nil, err
		}
		listen = "unix:" + filepath.Join(p.dir, "sdk.sock")
	}
	p.command = exec.Command(program, ServeCommand, "--listen", listen, "--server", string(server))
	p.command.Stderr = stderr
	if err := p.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("second process: %w", err), p.close())
	}
	return p, nil
}

func (p *process) begin() (err error) {
	if p.control, err = p.command.StdinPipe(); err != nil {
		return err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return err
	}
	p.out = bufio.NewReader(out)
	if err := p.command.Start(); err != nil {
		return err
	}
	line, err := p.out.ReadString('\n')
	p.address = strings.TrimSuffix(line, "\n")
	return err
}

// asked implements target.
func (p *process) asked() (c counts, cpu time.Duration, err error) {
	if _, err = io.WriteString(p.control, "counts\n"); err == nil {
		_, err = fmt.Fscanln(p.out, &c.requests, &c.invocations, &cpu)
	}
	if err != nil {
		err = fmt.Errorf("second process: %w", err)
	}
	return c, cpu, err
}

// close ends the process.
func (p *process) close() error {
	var errs []error
	if p.control != nil {
		errs = append(errs, p.control.Close())
	}
	if p.command.Process != nil {
		errs = append(errs, p.command.Wait())
	}
	if p.dir != "" {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	return errors.Join(errs...)
}
