package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"wadm/config"
	"wadm/config/terminal"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/ring"
	"wadm/tenancy"
)

// observed is what the commands about instances look at.
type observed struct {
	*natskv.Observer
	view    shard.View
	stored  time.Time // the view, by the clock of NATS
	ring    *ring.Ring
	members []shard.Member
	keys    []shard.Key
}

// observer connects to what the instances share. Names of objects and the
// JetStream domain are those of the servers' configuration.
func (p *program) observer(ctx context.Context, s storeFlags) (*natskv.Observer, error) {
	nc, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	name := config.Storage{StreamPrefix: s.prefix}.Stream
	o, err := natskv.NewObserver(nc, natskv.Config{
		Ledger: name(natskv.DefaultLedger), Lattices: name(natskv.DefaultLattices),
		Members: name(natskv.DefaultMembers), View: name(natskv.DefaultView),
		Domain: cmp.Or(s.domain, p.conn.jsDomain), Timeout: time.Duration(p.conn.timeout),
	})
	if err != nil {
		return nil, failed("cannot use JetStream", err)
	}
	return o, nil
}

// storeFlags are the settings of the servers that decide where they keep things.
type storeFlags struct{ prefix, domain string }

func (s *storeFlags) add(c *cobra.Command) {
	c.PersistentFlags().StringVar(&s.prefix, "stream-prefix", "", "the servers' --stream-prefix")
	c.PersistentFlags().StringVar(&s.domain, "jetstream-domain", "", "the servers' --jetstream-domain; wash's --js-domain is the same")
}

// observe reads view, members and registry.
func (p *program) observe(ctx context.Context, s storeFlags) (*observed, error) {
	o, err := p.observer(ctx, s)
	if err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, time.Duration(p.conn.timeout))
	defer cancel()
	out := &observed{Observer: o}
	out.view, out.stored, err = o.View(limit)
	if err == nil {
		out.members, err = o.Members(limit)
	}
	if err == nil {
		out.keys, err = o.Keys(limit)
	}
	if err == nil && out.view.Schema <= shard.Schema {
		out.ring, err = out.view.Ring()
	}
	if err != nil {
		return nil, unobserved("cannot read the ring", err)
	}
	if out.ring == nil {
		return nil, &failure{code: exitFailed, what: "the instances agree in a way this wadmctl does not know", hint: "use the wadmctl of the newest instance"}
	}
	return out, nil
}

// unobserved says why the instances cannot be looked at.
func unobserved(what string, err error) error {
	switch {
	case errors.Is(err, natskv.ErrAbsent):
		return &failure{code: exitNotFound, what: what, cause: errors.New("no wadm has run here"), hint: "start one with 'wadm -s ADDRESS', or check account, --jetstream-domain and --stream-prefix"}
	case errors.Is(err, nats.ErrNoResponders):
		return &failure{code: exitUnreachable, what: what, cause: err, hint: "does this account have JetStream? check --jetstream-domain"}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{code: exitUnreachable, what: what, cause: err, hint: "is JetStream up? try again with a longer --timeout"}
	}
	return failed(what, err)
}

func (p *program) ringCommands() *cobra.Command {
	var s storeFlags
	c := &cobra.Command{
		Use:   "ring",
		Short: "See how the instances share the lattices",
		Args:  arguments(0, 0),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	s.add(c)
	c.AddCommand(p.ringShow(&s), p.ringOwner(&s), p.ringSimulate(&s))
	return c
}

// ringMember is one member in the JSON of ring show.
type ringMember struct {
	Instance    shard.MemberID    `json:"instance"`
	Incarnation shard.Incarnation `json:"incarnation"`
	State       shard.MemberState `json:"state"`
	Units       int               `json:"units"`
	Lattices    int               `json:"lattices"`
	Partitions  int               `json:"partitions"`
	// Ramp is there while it has less than its units.
	Ramp *ringRamp `json:"ramp,omitempty"`
	// Foreign: another version of placement or schema; it owns nothing.
	Foreign bool `json:"foreign,omitempty"`
}

// ringRamp is how far a member is on the way to its weight.
type ringRamp struct {
	// Units are what it has so far.
	Units float64 `json:"units"`
	Step  int     `json:"step"`
	Of    int     `json:"of"`
	// Until is about when it will have all; any other change of the view delays it.
	Until time.Time `json:"until"`
}

// ramp tells how far a member of the view is, nil when it has its full weight.
func (o *observed) ramp(m shard.ViewMember) *ringRamp {
	r := o.view.Ramp
	has := o.view.Reached(m)
	if r == nil || has >= float64(m.Units) {
		return nil
	}
	// The time of a step is no setting: all instances have the default.
	step := shard.RosterConfig{}.WithDefaults().Ramp
	return &ringRamp{Units: has, Step: r.Step, Of: r.Of, Until: o.stored.Add(time.Duration(r.Of-r.Step) * step).UTC()}
}

func (p *program) ringShow(s *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show the agreed view and what it gives to whom",
		Long: `Shows the agreed view and what it gives to whom. An instance that joined, or
got a higher weight, gets its lattices in several steps: until the last one it is
ramping, and its weight is shown as "1 of 4", with the time when it will have all.`,
		Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := p.observe(c.Context(), *s)
			if err != nil {
				return err
			}
			lattices := o.share(o.ring)
			shares := o.ring.Shares()
			members := []ringMember{}
			for _, m := range o.view.Members {
				members = append(members, ringMember{
					m.ID, m.Incarnation, m.State, m.Units, lattices[m.ID], shares[string(m.ID)], o.ramp(m), o.foreign(m.ID),
				})
			}
			for _, m := range o.members {
				if !o.view.Has(m.ID, m.Incarnation) {
					members = append(members, ringMember{Instance: m.ID, Incarnation: m.Incarnation, State: "outside", Foreign: o.foreign(m.ID)})
				}
			}
			return p.out.print(struct {
				header
				View        uint64         `json:"view"`
				Cause       string         `json:"cause"`
				Fingerprint string         `json:"fingerprint"`
				Lattices    int            `json:"lattices"`
				Members     []ringMember   `json:"members"`
				Overrides   map[string]any `json:"overrides,omitempty"`
			}{succeeded(), o.view.Rev, o.view.Cause, o.view.Fingerprint, len(o.keys), members, overrides(o.view)}, func(w io.Writer) {
				fmt.Fprintf(w, "view %d (%s), %d lattices, placement %s\n\n", o.view.Rev, terminal.Safe(o.view.Cause), len(o.keys), terminal.Safe(o.view.Fingerprint))
				rows := [][]string{{"INSTANCE", "STATE", "WEIGHT", "LATTICES", "PARTITIONS"}}
				for _, m := range members {
					state, weight := string(m.State), fmt.Sprint(m.Units)
					if m.Foreign {
						state += ", foreign"
					}
					if m.Ramp != nil {
						state += ", ramping until " + m.Ramp.Until.Local().Format(time.TimeOnly)
						weight = fmt.Sprintf("%g of %d", m.Ramp.Units, m.Units)
					}
					rows = append(rows, []string{string(m.Instance), state, weight, fmt.Sprint(m.Lattices), fmt.Sprint(m.Partitions)})
				}
				table(w, rows)
			})
		},
	}
}

func overrides(v shard.View) map[string]any {
	m := map[string]any{}
	for k, id := range v.Overrides {
		m[string(k)] = id
	}
	return m
}

// foreign tells whether an instance places otherwise than the view.
func (o *observed) foreign(id shard.MemberID) bool {
	return slices.ContainsFunc(o.members, func(m shard.Member) bool {
		return m.ID == id && (m.Fingerprint != o.view.Fingerprint || m.Schema != o.view.Schema)
	})
}

// share counts the lattices each member of a ring should own.
func (o *observed) share(r *ring.Ring) map[shard.MemberID]int {
	n := map[shard.MemberID]int{}
	for _, k := range o.keys {
		if id, ok := r.Owner(string(k)); ok {
			n[shard.MemberID(id)]++
		}
	}
	return n
}

func (p *program) ringOwner(s *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "owner LATTICE",
		Short: "Show who owns a lattice, and who should",
		Long: `Shows who owns a lattice, and who should. The claim in the ledger says who owns
it; the ring says who should. They differ while a lattice is handed over.`,
		Args: arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			lattice, err := tenancy.ParseLattice(args[0])
			if err != nil {
				return usagef("%s", err.Error())
			}
			o, err := p.observe(c.Context(), *s)
			if err != nil {
				return err
			}
			key := shard.Key(tenancy.LatticeKey{Tenant: "default", Lattice: lattice}.Token())
			limit, cancel := context.WithTimeout(c.Context(), time.Duration(p.conn.timeout))
			defer cancel()
			head, err := o.Claim(limit, key)
			if err != nil {
				return unobserved("cannot read the claim", err)
			}
			if head.Seq == 0 && !slices.Contains(o.keys, key) {
				return &failure{code: exitNotFound, what: fmt.Sprintf("lattice %q is not known", lattice), hint: "a lattice is known once it has an application or a host"}
			}
			should, _ := o.ring.Owner(string(key))
			owner, epoch := "", uint64(0)
			if head.Seq > 0 && head.Record.State == shard.Held {
				owner, epoch = string(head.Record.Owner), head.Seq
			}
			return p.out.print(struct {
				header
				Lattice     tenancy.Lattice   `json:"lattice"`
				Owner       string            `json:"owner"`
				Epoch       uint64            `json:"epoch"`
				Incarnation shard.Incarnation `json:"incarnation,omitempty"`
				ShouldBe    string            `json:"should_be"`
			}{succeeded(), lattice, owner, epoch, head.Record.Incarnation, should}, func(w io.Writer) {
				if owner == "" {
					fmt.Fprintf(w, "%s: nobody owns it now, %s should\n", lattice, terminal.OrDash(should))
					return
				}
				fmt.Fprintf(w, "%s: %s, epoch %d", lattice, terminal.Safe(owner), epoch)
				if owner != should {
					fmt.Fprintf(w, "; %s should", terminal.OrDash(should))
				}
				fmt.Fprintln(w)
			})
		},
	}
}

func (p *program) ringSimulate(s *storeFlags) *cobra.Command {
	var join, leave []string
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Compute what would move if instances joined or left",
		Long: `Computes what would move if instances joined or left, and changes nothing.
Joining instances get full weight at once; in truth they gain it step by step.`,
		Example: "  wadmctl ring simulate --join wadm-4\n  wadmctl ring simulate --leave wadm-1 --join wadm-5",
		Args:    arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := p.observe(c.Context(), *s)
			if err != nil {
				return err
			}
			return p.simulate(o, join, leave)
		},
	}
	c.Flags().StringSliceVar(&join, "join", nil, "instance that would join; may be repeated")
	c.Flags().StringSliceVar(&leave, "leave", nil, "instance that would leave; may be repeated")
	return c
}

func (p *program) simulate(o *observed, join, leave []string) error {
	if len(join)+len(leave) == 0 {
		return usagef("give --join or --leave")
	}
	after := o.view
	after.Members = slices.Clone(o.view.Members)
	after.Ramp = nil // where it ends, not the way there
	for _, id := range leave {
		n := len(after.Members)
		after.Members = slices.DeleteFunc(after.Members, func(m shard.ViewMember) bool { return string(m.ID) == id })
		if len(after.Members) == n {
			return &failure{code: exitNotFound, what: fmt.Sprintf("instance %q is not in the view", id), hint: "see 'wadmctl instance list'"}
		}
	}
	for _, id := range join {
		member, err := shard.ParseMemberID(id)
		if err != nil {
			return usagef("--join: %s", err.Error())
		}
		if _, in := after.Member(member); in {
			return &failure{code: exitConflict, what: fmt.Sprintf("instance %q is in the view already", id)}
		}
		after.Members = append(after.Members, shard.ViewMember{ID: member, Incarnation: "simulated", Units: ring.FullUnits, State: shard.MemberActive})
		slices.SortFunc(after.Members, func(a, b shard.ViewMember) int { return strings.Compare(string(a.ID), string(b.ID)) })
	}
	to, err := after.Ring()
	if err != nil {
		return failed("cannot compute the ring", err)
	}
	moved := 0
	for _, k := range o.keys {
		a, _ := o.ring.Owner(string(k))
		if b, _ := to.Owner(string(k)); a != b {
			moved++
		}
	}
	was, is := o.share(o.ring), o.share(to)
	ids := map[shard.MemberID]bool{}
	for _, m := range append(slices.Clone(o.view.Members), after.Members...) {
		ids[m.ID] = true
	}
	type change struct {
		Instance shard.MemberID `json:"instance"`
		Now      int            `json:"now"`
		Then     int            `json:"then"`
	}
	changes := []change{}
	for id := range ids {
		changes = append(changes, change{id, was[id], is[id]})
	}
	slices.SortFunc(changes, func(a, b change) int { return strings.Compare(string(a.Instance), string(b.Instance)) })
	return p.out.print(struct {
		header
		Lattices  int      `json:"lattices"`
		Moved     int      `json:"moved"`
		Instances []change `json:"instances"`
	}{succeeded(), len(o.keys), moved, changes}, func(w io.Writer) {
		fmt.Fprintf(w, "%d of %d lattices would move\n\n", moved, len(o.keys))
		rows := [][]string{{"INSTANCE", "NOW", "THEN"}}
		for _, c := range changes {
			rows = append(rows, []string{string(c.Instance), fmt.Sprint(c.Now), fmt.Sprint(c.Then)})
		}
		table(w, rows)
	})
}
