package conform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
)

// Case is one guarantee and how it is checked.
type Case struct {
	Group string
	Name  string
	// Guarantee in one line.
	Guarantee string
	// Defect is the number under which it is known that upstream wadm fails here;
	// empty when it does not.
	Defect string

	run func(*world) error
}

// Outcome of a case.
type Outcome string

// The outcomes.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	// Known is the failure of a case in which upstream is known to fail.
	Known Outcome = "known defect"
)

// Result is what became of a case.
type Result struct {
	Group     string  `json:"group"`
	Name      string  `json:"name"`
	Guarantee string  `json:"guarantee"`
	Outcome   Outcome `json:"outcome"`
	Defect    string  `json:"defect,omitempty"`
	Detail    string  `json:"detail,omitempty"`
	Seconds   float64 `json:"seconds"`
}

// Report is what became of all cases, in their order.
type Report struct {
	// Server is what whoever runs it calls the server; may be empty.
	Server  string   `json:"server,omitempty"`
	Results []Result `json:"results"`
}

// Count counts the results with an outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for _, res := range r.Results {
		if res.Outcome == o {
			n++
		}
	}
	return n
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) {
	group := ""
	for _, res := range r.Results {
		if res.Group != group {
			group = res.Group
			fmt.Fprintf(w, "%s\n", group)
		}
		fmt.Fprintf(w, "  %-12s %s", res.Outcome, res.Name)
		if res.Defect != "" {
			fmt.Fprintf(w, " [%s]", res.Defect)
		}
		fmt.Fprintf(w, " (%.1f s)\n", res.Seconds)
		if res.Outcome != Pass {
			fmt.Fprintf(w, "               %s\n               %s\n", res.Guarantee, strings.ReplaceAll(res.Detail, "\n", "\n               "))
		}
	}
	fmt.Fprintf(w, "conformance of %s: %d pass, %d fail, %d known defects\n", r.Server, r.Count(Pass), r.Count(Fail), r.Count(Known))
}

// Config says how to check. The zero value works.
type Config struct {
	// Prefix of the names of the lattices, which the server must not know yet;
	// letters and digits. Default "conform".
	Prefix string
	// Only runs the cases whose group or name contains it.
	Only string
	// Patience is how long an outcome may take. Default 20 s. Upstream needs most of it.
	Patience time.Duration
	// Parallel is how many cases run at once. Default 12.
	Parallel int
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	c.Prefix = cmp.Or(c.Prefix, "conform")
	c.Patience = cmp.Or(c.Patience, 20*time.Second)
	c.Parallel = cmp.Or(c.Parallel, 12)
	return c
}

// Cases lists all cases in the order of their report.
func Cases() []Case {
	var all []Case
	for _, g := range []struct {
		name  string
		cases []Case
	}{
		{"subjects", subjectCases()},
		{"put", putCases()},
		{"versions", versionCases()},
		{"deploy and delete", lifecycleCases()},
		{"shared applications", sharedCases()},
		{"events", eventCases()},
		{"status", statusCases()},
		{"placement", placementCases()},
		{"providers and daemons", providerCases()},
		{"links and configurations", linkCases()},
		{"change and removal", changeCases()},
		{lastGroup, robustCases()},
	} {
		for _, c := range g.cases {
			c.Group = g.name
			all = append(all, c)
		}
	}
	return all
}

// lastGroup runs when all else is done, one case after the other: a server may
// not survive it.
const lastGroup = "robustness"

// Run checks the server that nc leads to. The error says that it could not.
func Run(ctx context.Context, nc *nats.Conn, cfg Config) (*Report, error) {
	cfg = cfg.WithDefaults()
	var chosen []Case
	for _, c := range Cases() {
		if strings.Contains(c.Group, cfg.Only) || strings.Contains(c.Name, cfg.Only) {
			chosen = append(chosen, c)
		}
	}
	r := &Report{Results: make([]Result, len(chosen))}
	var early, late errgroup.Group
	early.SetLimit(max(cfg.Parallel, 1))
	late.SetLimit(1)
	var once sync.Once
	for i, c := range chosen {
		run := func() error {
			r.Results[i] = check(ctx, nc, cfg, c, fmt.Sprintf("%s%d", cfg.Prefix, i))
			return nil
		}
		if c.Group != lastGroup {
			early.Go(run)
			continue
		}
		once.Do(func() { _ = early.Wait() }) // no case returns an error
		late.Go(run)
	}
	if err := errors.Join(early.Wait(), late.Wait()); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return r, nil
}

func check(ctx context.Context, nc *nats.Conn, cfg Config, c Case, name string) Result {
	begin := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &world{ctx: ctx, nc: nc, lattice: name, patience: cfg.Patience}
	defer w.close()
	err := c.run(w)
	r := Result{Group: c.Group, Name: c.Name, Guarantee: c.Guarantee, Defect: c.Defect, Outcome: Pass, Seconds: time.Since(begin).Seconds()}
	if err != nil {
		r.Outcome, r.Detail = Fail, err.Error()
		if c.Defect != "" {
			r.Outcome = Known
		}
	}
	return r
}

// ErrSilent means that no server answers requests.
var ErrSilent = errors.New("no server answers")

// readyTimeout is how long a server may take to answer its first request.
const readyTimeout = 30 * time.Second

// Answering waits until a server answers requests, for half a minute at most.
func Answering(ctx context.Context, nc *nats.Conn) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, ErrSilent)
	defer cancel()
	w := &world{ctx: ctx, nc: nc, lattice: "default"}
	for {
		if _, err := w.ask(".model.list", ""); err == nil {
			return nil
		}
		if err := w.pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
