package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wadm/config/terminal"
	"wadm/shard"
	"wadm/shard/ring"
	"wadm/tenancy"
)

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
	State       string            `json:"state"`
	Units       int               `json:"units"`
	// Lattices are those it should own, Owned those it does.
	Lattices   int `json:"lattices"`
	Owned      int `json:"owned"`
	Partitions int `json:"partitions"`
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
ramping, and its weight is shown as "1 of 4", with the time when it will have all.
LATTICES are those an instance should own, OWNS those it does; they differ while
lattices are handed over. OWNS is what each said last when the claims cannot be
read, which a warning says. An instance is active or draining, outside as long as the
view is without it because it has just come or is foreign, lost when it is outside
and says nothing any more, and gone when it has ended and the view still has it.`,
		Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := p.observe(c.Context(), *s)
			if err != nil {
				return err
			}
			owned, reported, err := p.owned(c.Context(), o)
			if err != nil {
				return err
			}
			lattices := o.share(o.ring)
			shares := o.ring.Shares()
			members := []ringMember{}
			for _, m := range o.view.Members {
				members = append(members, ringMember{
					m.ID, m.Incarnation, o.state(m.ID, m.Incarnation), m.Units, lattices[m.ID], owned[m.Incarnation], shares[string(m.ID)], o.ramp(m), o.foreign(m.ID),
				})
			}
			for _, m := range o.members {
				if !o.view.Has(m.ID, m.Incarnation) {
					members = append(members, ringMember{Instance: m.ID, Incarnation: m.Incarnation, State: o.state(m.ID, m.Incarnation), Owned: owned[m.Incarnation], Foreign: o.foreign(m.ID)})
				}
			}
			return p.out.print(struct {
				header
				View        uint64 `json:"view"`
				Cause       string `json:"cause"`
				Fingerprint string `json:"fingerprint"`
				Lattices    int    `json:"lattices"`
				// Reported: owned is what the members said last, not what the ledger says.
				Reported  bool           `json:"reported,omitempty"`
				Members   []ringMember   `json:"members"`
				Overrides map[string]any `json:"overrides,omitempty"`
			}{succeeded(), o.view.Rev, o.view.Cause, o.view.Fingerprint, len(o.keys), reported, members, overrides(o.view)}, func(w io.Writer) {
				fmt.Fprintf(w, "view %d (%s), %d lattices, placement %s\n\n", o.view.Rev, terminal.Safe(o.view.Cause), len(o.keys), terminal.Safe(o.view.Fingerprint))
				rows := [][]string{{"INSTANCE", "STATE", "WEIGHT", "LATTICES", "OWNS", "PARTITIONS"}}
				for _, m := range members {
					state, weight := m.State, fmt.Sprint(m.Units)
					if m.Foreign {
						state += ", foreign"
					}
					if m.Ramp != nil {
						state += ", ramping until " + m.Ramp.Until.Local().Format(time.TimeOnly)
						weight = fmt.Sprintf("%g of %d", m.Ramp.Units, m.Units)
					}
					rows = append(rows, []string{string(m.Instance), state, weight, fmt.Sprint(m.Lattices), fmt.Sprint(m.Owned), fmt.Sprint(m.Partitions)})
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

// latticeOwner is a lattice in the JSON of ring owner.
type latticeOwner struct {
	Lattice     tenancy.Lattice   `json:"lattice"`
	Owner       shard.MemberID    `json:"owner"`
	Epoch       uint64            `json:"epoch"`
	Incarnation shard.Incarnation `json:"incarnation,omitempty"`
	ShouldBe    string            `json:"should_be"`
}

func (o *observed) owner(h shard.Head) latticeOwner {
	l := latticeOwner{Lattice: tenancy.Lattice(h.Key), Incarnation: h.Record.Incarnation}
	if key, err := tenancy.ParseToken(string(h.Key)); err == nil {
		l.Lattice = key.Lattice
	}
	l.ShouldBe, _ = o.ring.Owner(string(h.Key))
	if h.HeldBy(h.Record.Incarnation) {
		l.Owner, l.Epoch = h.Record.Owner, h.Seq
	}
	return l
}

func (p *program) ringOwner(s *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "owner [LATTICE]",
		Short: "Show who owns a lattice, or each of them, and who should",
		Long: `Shows who owns a lattice, and who should; without LATTICE, of all lattices. The
claim in the ledger says who owns it; the ring says who should. They differ while a
lattice is handed over.`,
		Example: "  wadmctl ring owner default\n  wadmctl ring owner | grep wadm-1",
		Args:    arguments(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return p.allOwners(c.Context(), *s)
			}
			lattice, err := tenancy.ParseLattice(args[0])
			if err != nil {
				return usagef("%s", err.Error())
			}
			o, err := p.observe(c.Context(), *s)
			if err != nil {
				return err
			}
			key := shard.Key(tenancy.LatticeKey{Tenant: "default", Lattice: lattice}.Token())
			head, err := p.claim(c.Context(), o, key)
			if err != nil {
				return err
			}
			if head.Seq == 0 && !slices.Contains(o.keys, key) {
				return &failure{code: exitNotFound, what: fmt.Sprintf("lattice %q is not known", lattice), hint: "a lattice is known once it has an application or a host"}
			}
			l := o.owner(head)
			return p.out.print(struct {
				header
				latticeOwner
			}{succeeded(), l}, func(w io.Writer) {
				if l.Owner == "" {
					fmt.Fprintf(w, "%s: nobody owns it now, %s should\n", lattice, terminal.OrDash(l.ShouldBe))
					return
				}
				fmt.Fprintf(w, "%s: %s, epoch %d", lattice, terminal.Safe(string(l.Owner)), l.Epoch)
				if string(l.Owner) != l.ShouldBe {
					fmt.Fprintf(w, "; %s should", terminal.OrDash(l.ShouldBe))
				}
				fmt.Fprintln(w)
			})
		},
	}
}

// allOwners shows who owns each lattice.
func (p *program) allOwners(ctx context.Context, s storeFlags) error {
	o, err := p.observe(ctx, s)
	if err != nil {
		return err
	}
	heads, err := p.claims(ctx, o)
	if err != nil {
		return err
	}
	list := []latticeOwner{}
	for _, h := range heads {
		list = append(list, o.owner(h))
	}
	return p.out.print(struct {
		header
		Lattices []latticeOwner `json:"lattices"`
	}{succeeded(), list}, func(w io.Writer) {
		rows := [][]string{{"LATTICE", "OWNER", "EPOCH", "SHOULD BE"}}
		for _, l := range list {
			epoch := ""
			if l.Owner != "" {
				epoch = fmt.Sprint(l.Epoch)
			}
			rows = append(rows, []string{string(l.Lattice), terminal.OrDash(string(l.Owner)), terminal.OrDash(epoch), terminal.OrDash(l.ShouldBe)})
		}
		table(w, rows)
	})
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
	moved, bare := 0, 0
	for _, k := range o.keys {
		a, _ := o.ring.Owner(string(k))
		b, owned := to.Owner(string(k))
		switch {
		case !owned:
			bare++
		case a != b:
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
		Lattices int `json:"lattices"`
		Moved    int `json:"moved"`
		// Unowned would have no owner, because nobody is left.
		Unowned   int      `json:"unowned"`
		Instances []change `json:"instances"`
	}{succeeded(), len(o.keys), moved, bare, changes}, func(w io.Writer) {
		if bare > 0 {
			fmt.Fprintf(w, "no instance would be left: nobody would own the %d lattices\n\n", bare)
		} else {
			fmt.Fprintf(w, "%d of %d lattices would move\n\n", moved, len(o.keys))
		}
		rows := [][]string{{"INSTANCE", "NOW", "THEN"}}
		for _, c := range changes {
			rows = append(rows, []string{string(c.Instance), fmt.Sprint(c.Now), fmt.Sprint(c.Then)})
		}
		table(w, rows)
	})
}
