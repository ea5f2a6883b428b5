package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"wadm/config/terminal"
)

// watchFlag adds -w, which takes an interval as an option: -w, -w=2s.
func watchFlag(cmd *cobra.Command, d *duration) {
	f := cmd.Flags().VarPF(watchInterval{d}, "watch", "w", "show it again when it changes; an interval may follow, as in -w=2s")
	f.NoOptDefVal = "1s"
	f.DefValue = ""
}

// watchInterval is a duration that also takes wash's bare milliseconds.
type watchInterval struct{ d *duration }

// Set reads milliseconds or a duration with unit.
func (w watchInterval) Set(s string) error {
	var ms uint32
	if n, err := fmt.Sscanf(s+" ", "%d ", &ms); err == nil && n == 1 && fmt.Sprint(ms) == s {
		*w.d = duration(time.Duration(ms) * time.Millisecond)
	} else if err := w.d.Set(s); err != nil {
		return err
	}
	if time.Duration(*w.d) < 50*time.Millisecond {
		return fmt.Errorf("%v is below 50ms", time.Duration(*w.d))
	}
	return nil
}

func (w watchInterval) String() string {
	if w.d == nil {
		return ""
	}
	return w.d.String()
}

// Type is shown in the help.
func (watchInterval) Type() string { return "duration" }

// repeat shows something once, or every interval until ctx ends: in place on a
// terminal, else as often as it changes. Errors are told and tried on, except
// the first.
func (p *program) repeat(ctx context.Context, every time.Duration, show func(context.Context, *output) error) error {
	if every == 0 {
		return show(ctx, p.out)
	}
	redraw := isTerminal(p.out.stdout) && !p.out.json
	var last []byte
	told := ""
	for first := true; ; first = false {
		var b bytes.Buffer
		err := show(ctx, &output{stdout: &b, stderr: p.out.stderr, json: p.out.json, quiet: true, compact: true})
		switch {
		case ctx.Err() != nil:
			return failed("", context.Canceled)
		case err != nil && first:
			return err
		case err != nil && err.Error() != told:
			told = err.Error()
			p.out.say("%s; trying on", terminal.Safe(told))
		case err == nil && !bytes.Equal(last, b.Bytes()):
			last, told = bytes.Clone(b.Bytes()), ""
			if redraw {
				// Home, clear below: what was printed before stays in the scrollback.
				fmt.Fprint(p.out.stdout, "\x1b[H\x1b[J")
			}
			if _, err := p.out.stdout.Write(b.Bytes()); err != nil {
				return fmt.Errorf("write output: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return failed("", context.Canceled)
		case <-time.After(every):
		}
	}
}
