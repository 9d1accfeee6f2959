// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Progress shows on w how far a run is: a live line on a terminal, a line a second elsewhere. What it
// returns is for [Config].
func Progress(w io.Writer) func(done, total int64) {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return live(w)
	}
	return lines(w, time.Second)
}

func live(w io.Writer) func(done, total int64) {
	var bar *progressbar.ProgressBar
	return func(done, total int64) {
		if bar == nil {
			bar = progressbar.NewOptions64(total,
				progressbar.OptionSetWriter(w),
				progressbar.OptionSetDescription("invocations"),
				progressbar.OptionShowCount(),
				progressbar.OptionShowIts(),
				progressbar.OptionSetItsString("inv"),
				progressbar.OptionOnCompletion(func() { fmt.Fprintln(w) }))
		}
		_ = bar.Set64(min(done, total)) // Progress that cannot be shown is no reason to stop.
	}
}

func lines(w io.Writer, every time.Duration) func(done, total int64) {
	var start, shown time.Time
	return func(done, total int64) {
		now := time.Now()
		if start.IsZero() {
			start, shown = now, now
			return
		}
		if now.Sub(shown) < every && done < total {
			return
		}
		shown = now
		rate := float64(done) / now.Sub(start).Seconds()
		fmt.Fprintf(w, "%s of %s invocations, %.1f million/s\n", Count(done), Count(total), rate/1e6)
	}
}
