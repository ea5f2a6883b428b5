package churn

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

// Report is what became of a run.
type Report struct {
	// Server is what whoever runs it calls the server; may be empty.
	Server   string  `json:"server,omitempty"`
	Seed     uint64  `json:"seed"`
	Lattices int     `json:"lattices"`
	Hosts    int     `json:"hosts"`
	Seconds  float64 `json:"seconds"`
	// Operations by kind, and how many of them found nothing to do.
	Operations map[string]int `json:"operations"`
	Missed     int            `json:"missed"`
	// Commands by kind; Needless asked for what was so already or was being done,
	// Refused are those that hosts refused, by their words.
	Commands map[string]int `json:"commands"`
	Total    int            `json:"commands_total"`
	Needless map[string]int `json:"needless"`
	Refused  map[string]int `json:"refused"`
	// Reaction is from an operator's stop to the next command about it, Deploy from
	// the acknowledgement of a deployment to its first command, Settle from the
	// last operation to rest, by lattice.
	Reaction Durations `json:"reaction"`
	Deploy   Durations `json:"deploy"`
	Settle   Durations `json:"settle"`
	// Violations in the order of lattices; empty is what a run is for.
	Violations []Violation `json:"violations"`
}

// Violation is something that must not be.
type Violation struct {
	Lattice string `json:"lattice"`
	Rule    string `json:"rule"`
	Detail  string `json:"detail"`
	// Trail is what was done and commanded around it, newest last.
	Trail []string `json:"trail,omitempty"`

	about string
}

// Durations sums up a set of durations, in milliseconds.
type Durations struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
}

func sumUp(all []time.Duration) Durations {
	if len(all) == 0 {
		return Durations{}
	}
	slices.Sort(all)
	at := func(q float64) float64 {
		return float64(all[min(int(q*float64(len(all))), len(all)-1)].Microseconds()) / 1000
	}
	return Durations{len(all), at(0.50), at(0.99), at(1)}
}

// patience is how long a command is taken to follow from a cause.
const patience = 10 * time.Second

func report(plan *Plan, players []*player, took time.Duration) *Report {
	r := &Report{
		Seed: plan.cfg.Seed, Lattices: plan.cfg.Lattices, Hosts: plan.cfg.Hosts, Seconds: took.Seconds(),
		Operations: map[string]int{}, Commands: map[string]int{}, Needless: map[string]int{}, Refused: map[string]int{},
		Violations: []Violation{},
	}
	var reactions, deploys, settles []time.Duration
	for _, p := range players {
		for _, o := range p.plan.ops {
			r.Operations[o.Kind]++
		}
		r.Missed += p.missed
		settles = append(settles, p.settled)
		commands := slices.DeleteFunc(p.sim.Commands(), func(c simhost.Record) bool { return c.Header.Get(operatorHeader) != "" })
		trail := newTrail(p, commands)
		last := map[string]told{}
		for i := range commands {
			c := &commands[i]
			r.Total++
			r.Commands[c.Kind]++
			if c.Needless {
				r.Needless[c.Kind]++
			}
			if c.Answered && !c.Accepted {
				r.Refused[c.Kind+": "+c.Message]++
			}
			if wrong := p.history.judge(c, last); wrong != "" {
				p.violations = append(p.violations, Violation{
					Lattice: p.plan.name, Rule: "wrong command", Detail: trail.command(c) + ": " + wrong, Trail: trail.about(subject(c), c.Time),
				})
			}
			hear(last, c)
		}
		p.configured(last)
		for _, v := range p.sim.Violations() {
			p.violations = append(p.violations, Violation{
				Lattice: p.plan.name, Rule: string(v.Rule), Detail: v.Detail + ": " + trail.command(&v.Command), Trail: trail.about(subject(&v.Command), v.Time),
			})
		}
		for i := range p.violations {
			if v := &p.violations[i]; v.Trail == nil {
				v.Trail = trail.about(v.about, time.Now())
			}
		}
		r.Violations = append(r.Violations, p.violations...)
		for _, w := range p.history.waits {
			if d, ok := reaction(commands, w); ok && w.deploy {
				deploys = append(deploys, d)
			} else if ok {
				reactions = append(reactions, d)
			}
		}
	}
	r.Reaction, r.Deploy, r.Settle = sumUp(reactions), sumUp(deploys), sumUp(settles)
	return r
}

func subject(c *simhost.Record) string {
	var b body
	if err := json.Unmarshal(c.Body, &b); err != nil {
		b = body{} // a configuration's values, or nothing
	}
	return b.subject(c)
}

// reaction is the time to the first command that w waited for.
func reaction(commands []simhost.Record, w wait) (time.Duration, bool) {
	for i := range commands {
		d := commands[i].Time.Sub(w.at)
		if d < 0 || !strings.HasPrefix(subject(&commands[i]), w.prefix) {
			continue
		}
		return d, d < patience
	}
	return 0, false
}

// configured checks that what runs at the end was last told the configurations
// that it is to have: hosts do not show them.
func (p *player) configured(last map[string]told) {
	for _, a := range p.plan.end.deployed {
		for _, w := range a.works {
			want := a.configNames(w.configs)
			for _, h := range p.sim.Hosts() {
				inv := h.Inventory()
				has, ok := last[string(inv.Host)+" "+a.id(w.name)]
				if ok && runs(inv, a.id(w.name)) && !slices.Equal(has.config, want) {
					p.violate("configuration at rest", a.id(w.name), "%s on %s was told %v, want %v", a.id(w.name), short(inv.Host), has.config, want)
				}
			}
		}
	}
}

func runs(inv lattice.Inventory, id string) bool {
	return slices.ContainsFunc(inv.Components, func(c lattice.Component) bool { return string(c.ID) == id && managed(c.Annotations) }) ||
		slices.ContainsFunc(inv.Providers, func(c lattice.Provider) bool { return string(c.ID) == id && managed(c.Annotations) })
}

func managed(annotations map[string]string) bool {
	return annotations[lattice.AnnotationManagedBy] == "wadm"
}

// trail tells what happened to a lattice.
type trail struct {
	begun    time.Time
	p        *player
	commands []simhost.Record
}

func newTrail(p *player, commands []simhost.Record) *trail {
	return &trail{begun: p.history.begun, p: p, commands: commands}
}

func (t *trail) command(c *simhost.Record) string {
	answer := "not answered"
	if c.Answered {
		answer = "accepted"
		if !c.Accepted {
			answer = "refused: " + c.Message
		}
	}
	if c.Needless {
		answer += ", needless"
	}
	return fmt.Sprintf("%8.3fs %s at %s %s (%s)", c.Time.Sub(t.begun).Seconds(), c.Kind, short(c.Host), c.Body, answer)
}

// trailLength is how many lines a trail has at most.
const trailLength = 120

// about lists what was done to and asked for something until then.
func (t *trail) about(what string, until time.Time) []string {
	type line struct {
		at   time.Time
		text string
	}
	var lines []line
	for _, o := range t.p.history.ops {
		v := o.value
		named := v.App == what || v.App != "" && strings.HasPrefix(what, prefix(v.App)) || v.id == what
		if !o.from.After(until) && (named || v.Host >= 0 && slices.Contains(t.hosts(what, until), v.Host)) {
			who := ""
			if v.Host >= 0 && t.p.hosts[v.Host] != nil {
				who = " " + short(t.p.hosts[v.Host].ID())
			}
			lines = append(lines, line{o.from, fmt.Sprintf("%8.3fs DO %s%s", o.from.Sub(t.begun).Seconds(), v, who)})
		}
	}
	for i := range t.commands {
		c := &t.commands[i]
		if s := subject(c); !c.Time.After(until) && what != "" && (s == what || strings.HasPrefix(s, prefix(what))) {
			lines = append(lines, line{c.Time, t.command(c)})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	out := []string{}
	for _, l := range lines[max(0, len(lines)-trailLength):] {
		out = append(out, l.text)
	}
	return out
}

// hosts are the numbers of those that were ever asked for something.
func (t *trail) hosts(what string, until time.Time) []int {
	var out []int
	for i := range t.commands {
		c := &t.commands[i]
		family, _, _ := strings.Cut(c.Kind, ".")
		if c.Time.After(until) || subject(c) != what || family == "link" || family == "config" {
			continue
		}
		if n, ok := t.p.numbers[c.Host]; ok && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) {
	fmt.Fprintf(w, "churn %s: seed %d, %d lattices of %d hosts, %.0f s\n", r.Server, r.Seed, r.Lattices, r.Hosts, r.Seconds)
	table := func(title string, m map[string]int) {
		if len(m) == 0 {
			return
		}
		fmt.Fprintf(w, "%s:\n", title)
		for _, k := range names(m) {
			fmt.Fprintf(w, "  %6d %s\n", m[k], k)
		}
	}
	table("operations", r.Operations)
	fmt.Fprintf(w, "  %6d found nothing to do\n", r.Missed)
	table("commands", r.Commands)
	table("needless commands", r.Needless)
	table("refused commands", r.Refused)
	for _, d := range []struct {
		title string
		Durations
	}{{"stopped by hand to next command", r.Reaction}, {"deploy acknowledged to first command", r.Deploy}, {"last operation to rest", r.Settle}} {
		fmt.Fprintf(w, "%s: %d, p50 %.1f ms, p99 %.1f ms, longest %.1f ms\n", d.title, d.Count, d.P50, d.P99, d.Max)
	}
	fmt.Fprintf(w, "violations: %d\n", len(r.Violations))
	for _, v := range r.Violations {
		fmt.Fprintf(w, "- %s: %s: %s\n", v.Lattice, v.Rule, v.Detail)
		for _, l := range v.Trail {
			fmt.Fprintf(w, "    %s\n", l)
		}
	}
}
