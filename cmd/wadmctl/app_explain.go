package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wadm/config/terminal"
	"wadm/scheduler/core"
	"wadm/tenancy/api"
)

// explanation is what a server says of an application; Owner is the instance
// that acts for the lattice.
type explanation struct {
	Owner string `json:"owner"`
	core.Explanation
}

func (p *program) explain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain NAME",
		Short: "Tell why an application is as it is: what is missing, on which hosts, what would help",
		Long: `Tells why an application is as it is: for each rule what is wanted and what is
there, which hosts are not used and why, what is under way, when something that
failed is tried again, and the smallest change that would help. Of an application
that is being removed it tells what is left.`,
		Args:              arguments(1, 1),
		ValidArgsFunction: p.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := p.client(c.Context())
			if err != nil {
				return err
			}
			what := fmt.Sprintf("cannot explain %q", args[0])
			raw, err := client.Explain(c.Context(), args[0])
			if refused, ok := errors.AsType[*api.RefusedError](err); ok && strings.HasPrefix(refused.Message, "Unsupported subject") {
				return &failure{code: exitFailed, what: what, cause: errors.New("the server does not know how to"),
					hint: "it is another wadm; 'wadmctl app status' tells what it knows"}
			}
			if err != nil {
				return failed(what, err)
			}
			var x explanation
			if err := json.Unmarshal(raw, &x); err != nil {
				return failed(what, fmt.Errorf("decode explanation: %w", err))
			}
			return p.out.print(struct {
				header
				Name        string          `json:"name"`
				Explanation json.RawMessage `json:"explanation"`
			}{succeeded(), args[0], raw}, func(w io.Writer) { writeExplanation(w, x, time.Now()) })
		},
	}
}

func writeExplanation(w io.Writer, x explanation, now time.Time) {
	line := func(indent int, format string, args ...any) {
		fmt.Fprintln(w, strings.Repeat("  ", indent)+terminal.Safe(fmt.Sprintf(format, args...)))
	}
	version := ""
	if x.Version != "" {
		version = " " + x.Version
	}
	line(0, "%s%s - %s%s, owner %s", x.App, version, title(string(x.Status.Type)), since(x.Condition, now), cmp.Or(x.Owner, "unknown"))
	if !x.Gathered {
		line(1, "the owner is still looking at what the lattice holds, nothing is decided until then")
	}
	for _, n := range x.Notes {
		line(1, "note: %s", n)
	}
	if !x.Deployed {
		switch {
		case len(x.Left) > 0:
			line(1, "not deployed, but this is left:")
			for _, l := range x.Left {
				line(2, "%s", l)
			}
		case x.Gathered:
			line(1, "not deployed, nothing is left")
		}
		return
	}
	for _, s := range x.Scalers {
		fmt.Fprintln(w)
		head := fmt.Sprintf("%s %s - %s", s.Kind, shortName(x.App, s.Name), title(string(s.Status.Type)))
		// A link is one thing, there or not.
		if len(s.Spreads) > 0 {
			head += fmt.Sprintf(", %d of %d", s.Have, s.Wanted)
		}
		line(0, "%s%s", head, since(s.Condition, now))
		if s.Image != "" {
			line(1, "image %s", s.Image)
		}
		if s.Status.Message != "" {
			line(1, "%s", s.Status.Message)
		}
		if s.Waiting != "" && s.Waiting != s.Status.Message {
			line(1, "%s", s.Waiting)
		}
		for _, f := range s.InFlight {
			at := ""
			if f.Host != "" {
				at = " at host " + f.Host.Called(f.Name)
			}
			line(1, "under way for %s: %s%s, because %s", seconds(f.Age), strings.ReplaceAll(string(f.Kind), "_", " "), at, f.Reason)
		}
		if s.NextRetry != nil {
			line(1, "next try in %s", seconds(max(s.NextRetry.Sub(now).Seconds(), 0)))
		}
		for _, sp := range s.Spreads {
			writeSpread(line, sp, s.Image)
		}
	}
}

// since tells a condition's reason and age.
func since(c *core.Condition, now time.Time) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf(" (%s for %s)", strings.ReplaceAll(string(c.Reason), "-", " "), seconds(max(now.Sub(c.Since).Seconds(), 0)))
}

// writeSpread writes the hosts of a spread whose rule wants an image, used ones first.
func writeSpread(line func(indent int, format string, args ...any), sp core.SpreadExplanation, image string) {
	var labels strings.Builder
	for _, k := range slices.Sorted(maps.Keys(sp.Requirements)) {
		labels.WriteString(" " + k + "=" + sp.Requirements[k])
	}
	line(1, "spread %s%s: %d of %d, %s with these labels", sp.Name, labels.String(), sp.Have, sp.Wanted, counted(sp.Eligible, "host"))
	for _, h := range sp.Hosts {
		text := fmt.Sprintf("%d of %d %s, %s", h.Have, h.Wanted, h.State, strings.ReplaceAll(string(h.Why), "-", " "))
		if h.Image != "" && h.Image != image {
			text += ", still " + h.Image
		}
		line(2, "host %s: %s", h.Host.Called(h.Name), text)
	}
	if sp.MoreHosts > 0 {
		line(2, "and %d more with it", sp.MoreHosts)
	}
	for _, e := range sp.Excluded {
		text := strings.ReplaceAll(string(e.Reason), "-", " ")
		if e.Detail != "" {
			text += ": " + e.Detail
		}
		line(2, "host %s not used: %s", e.Host.Called(e.Name), text)
	}
	if sp.More > 0 {
		line(2, "and %d more not used", sp.More)
	}
	if sp.Hint != "" {
		line(2, "hint: %s", sp.Hint)
	}
}

// counted writes a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
}
