package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Gaps are how long lattices were not acted for: the longest of each lattice
// after each fault.
type Gaps []time.Duration

// At is the value that a share q of the gaps does not exceed; 0 without any.
func (g Gaps) At(q float64) time.Duration {
	if len(g) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(g))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

// KindReport is what came of the faults of one kind.
type KindReport struct {
	// Faults is how many there were, Skipped how many found their target taken.
	Faults, Skipped int
	// Moved is how many claims changed their owner after them.
	Moved int
	Gaps  Gaps
}

// Report is what a run showed.
type Report struct {
	Seed     uint64
	Servers  int
	Schedule Schedule
	// Violations name the invariant first.
	Violations []string
	Kinds      map[Kind]*KindReport
	// Probes, Commands and Claims count what was done; Needless are commands for
	// what was so already.
	Probes, Commands, Needless, Claims, Writes, Acks, Views int
	// Restarts is how often an instance ended by itself and was started again.
	Restarts int
	// Covered is how long after the last fault every lattice reacted, Rested how
	// long until everything was at rest.
	Covered, Rested time.Duration
	Took            time.Duration
}

// Merge adds another run's numbers.
func (r *Report) Merge(o *Report) {
	r.Violations = append(r.Violations, o.Violations...)
	if r.Kinds == nil {
		r.Kinds = map[Kind]*KindReport{}
	}
	for k, v := range o.Kinds {
		m := r.Kinds[k]
		if m == nil {
			m = &KindReport{}
			r.Kinds[k] = m
		}
		m.Faults += v.Faults
		m.Skipped += v.Skipped
		m.Moved += v.Moved
		m.Gaps = append(m.Gaps, v.Gaps...)
	}
	r.Probes += o.Probes
	r.Commands += o.Commands
	r.Needless += o.Needless
	r.Claims += o.Claims
	r.Writes += o.Writes
	r.Acks += o.Acks
	r.Views += o.Views
	r.Restarts += o.Restarts
	r.Covered = max(r.Covered, o.Covered)
	r.Rested = max(r.Rested, o.Rested)
	r.Took += o.Took
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%d probes, %d commands (%d needless), %d claims, %d fenced writes, %d acks, %d views, %d ends by themselves; all lattices react %v after the last fault at most, at rest after %v\n",
		r.Probes, r.Commands, r.Needless, r.Claims, r.Writes, r.Acks, r.Views, r.Restarts, ms(r.Covered), ms(r.Rested))
	fmt.Fprintf(w, "%-14s %7s %7s %7s  %9s %9s %9s\n", "fault", "done", "skipped", "moved", "gap p50", "p99", "max")
	for _, k := range slices.Sorted(maps.Keys(r.Kinds)) {
		v := r.Kinds[k]
		fmt.Fprintf(w, "%-14s %7d %7d %7d  %9v %9v %9v\n", k, v.Faults, v.Skipped, v.Moved, ms(v.Gaps.At(.5)), ms(v.Gaps.At(.99)), ms(v.Gaps.At(1)))
	}
}

// Failure describes a run that went wrong so that it can be repeated; "" when all is well.
func (r *Report) Failure() string {
	if len(r.Violations) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %d NATS servers: %d violations\n", r.Seed, r.Servers, len(r.Violations))
	const most = 40
	for i, v := range r.Violations {
		if i == most {
			fmt.Fprintf(&b, "… and %d more\n", len(r.Violations)-most)
			break
		}
		fmt.Fprintln(&b, v)
	}
	fmt.Fprintf(&b, "schedule:\n%v", r.Schedule)
	return b.String()
}

func ms(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
