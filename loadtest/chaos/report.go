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
	// Gaps are the longest of each lattice after each fault, Hit those of lattices
	// that changed their owner, as far as a probe noticed.
	Gaps, Hit Gaps
	// Unowned is for how long a lattice that changed its owner had none: from the
	// release, or from the begin of the fault, to the claim.
	Unowned Gaps
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
	// Calm are the reactions to probes before the first fault.
	Calm Gaps
	// Beside are those of lattices that were well while only others were not.
	Beside Gaps
	// Moved and Least count partitions over all changes of the view: those that
	// moved, and those that had to; Partitions is the number of all of them.
	Moved, Least, Partitions int
	// InFlight is the most claims of one instance that were on their way at once,
	// ViewsAtOnce the most views within 3 s, Requests the most requests of one
	// connection to the API of JetStream within a second, but for reading messages.
	InFlight, ViewsAtOnce, Requests int
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
		m.Hit = append(m.Hit, v.Hit...)
		m.Unowned = append(m.Unowned, v.Unowned...)
	}
	r.Probes += o.Probes
	r.Commands += o.Commands
	r.Needless += o.Needless
	r.Claims += o.Claims
	r.Writes += o.Writes
	r.Acks += o.Acks
	r.Views += o.Views
	r.Restarts += o.Restarts
	r.Calm = append(r.Calm, o.Calm...)
	r.Beside = append(r.Beside, o.Beside...)
	r.Moved += o.Moved
	r.Least += o.Least
	r.Partitions = o.Partitions
	r.InFlight = max(r.InFlight, o.InFlight)
	r.ViewsAtOnce = max(r.ViewsAtOnce, o.ViewsAtOnce)
	r.Requests = max(r.Requests, o.Requests)
	r.Covered = max(r.Covered, o.Covered)
	r.Rested = max(r.Rested, o.Rested)
	r.Took += o.Took
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%d probes, %d commands (%d needless), %d claims, %d fenced writes, %d acks, %d views, %d ends by themselves; all lattices react %v after the last fault at most, at rest after %v\n",
		r.Probes, r.Commands, r.Needless, r.Claims, r.Writes, r.Acks, r.Views, r.Restarts, ms(r.Covered), ms(r.Rested))
	fmt.Fprintf(w, "reaction without faults: p50 %v, p99 %v, max %v; %d partitions of %d moved, least %d\n",
		ms(r.Calm.At(.5)), ms(r.Calm.At(.99)), ms(r.Calm.At(1)), r.Moved, r.Partitions, r.Least)
	fmt.Fprintf(w, "reaction while only others suffer: %d, p50 %v, p99 %v, max %v\n", len(r.Beside), ms(r.Beside.At(.5)), ms(r.Beside.At(.99)), ms(r.Beside.At(1)))
	fmt.Fprintf(w, "at once: %d claims of an instance, %d views in 3 s, %d requests of a connection in 1 s\n", r.InFlight, r.ViewsAtOnce, r.Requests)
	fmt.Fprintf(w, "%-14s %5s %7s %6s  %27s  %27s  %27s\n", "", "", "", "", "longest gap, all lattices", "those that moved", "without an owner")
	fmt.Fprintf(w, "%-14s %5s %7s %6s ", "fault", "done", "skipped", "moved")
	for range 3 {
		fmt.Fprintf(w, " %9s %8s %9s", "p50", "p99", "max")
	}
	fmt.Fprintln(w)
	for _, k := range slices.Sorted(maps.Keys(r.Kinds)) {
		v := r.Kinds[k]
		fmt.Fprintf(w, "%-14s %5d %7d %6d ", k, v.Faults, v.Skipped, v.Moved)
		for _, g := range []Gaps{v.Gaps, v.Hit, v.Unowned} {
			fmt.Fprintf(w, " %9v %8v %9v", ms(g.At(.5)), ms(g.At(.99)), ms(g.At(1)))
		}
		fmt.Fprintln(w)
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

func ms(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
