package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"wadm/config"
	"wadm/config/terminal"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/ring"
)

// observed is what the commands about instances look at.
type observed struct {
	*natskv.Observer
	view    shard.View
	stored  time.Time // the view, by the clock of NATS
	ring    *ring.Ring
	members []natskv.Seen
	keys    []shard.Key
}

// What becomes of an instance beside what it says of itself.
const (
	// stateOutside: not in the view, because it has just come or is foreign.
	stateOutside = "outside"
	// stateLost: not in the view, and it does not renew its record any more.
	stateLost = "lost"
	// stateGone: its record is no more, and the view is not yet without it.
	stateGone = "gone"
)

// look reads view and members.
func (o *observed) look(ctx context.Context) (err error) {
	if o.view, o.stored, err = o.View(ctx); err != nil {
		return err
	}
	o.members, err = o.Members(ctx)
	return err
}

// state says how it stands with an instance, in the view or not. All commands
// have it from here, so that they agree.
func (o *observed) state(id shard.MemberID, life shard.Incarnation) string {
	i := slices.IndexFunc(o.members, func(m natskv.Seen) bool { return m.ID == id && m.Incarnation == life })
	v, in := o.view.Member(id)
	in = in && v.Incarnation == life
	switch {
	case i < 0:
		return stateGone
	case in && v.State != shard.MemberActive:
		return string(v.State)
	case in || o.members[i].State != shard.MemberActive:
		return string(o.members[i].State)
	case o.members[i].Ago > late:
		return stateLost
	}
	return stateOutside
}

// late is when an instance that lives would have renewed its record.
var late = shard.FleetConfig{}.WithDefaults().Refresh * 5 / 4

// anyBut tells whether another instance than this one takes lattices.
func (o *observed) anyBut(id shard.MemberID) bool {
	return slices.ContainsFunc(o.view.Members, func(m shard.ViewMember) bool {
		return m.ID != id && o.state(m.ID, m.Incarnation) == string(shard.MemberActive)
	})
}

// observer connects to what the instances share. Names of objects and the
// JetStream domain are those of the servers' configuration.
func (p *program) observer(ctx context.Context, s storeFlags) (*natskv.Observer, error) {
	nc, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	return p.observerOn(nc, s)
}

// observerOn is observer on a connection that is there.
func (p *program) observerOn(nc *nats.Conn, s storeFlags) (*natskv.Observer, error) {
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
	err = out.look(limit)
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

// foreign tells whether an instance places otherwise than the view.
func (o *observed) foreign(id shard.MemberID) bool {
	return slices.ContainsFunc(o.members, func(m natskv.Seen) bool {
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

// claim reads the newest claim of a key.
func (p *program) claim(ctx context.Context, o *observed, k shard.Key) (shard.Head, error) {
	limit, cancel := context.WithTimeout(ctx, time.Duration(p.conn.timeout))
	defer cancel()
	h, err := o.Claim(limit, k)
	if err != nil {
		return shard.Head{}, unobserved("cannot read the claim", err)
	}
	return h, nil
}

// claims reads the newest claim of each registered key, in their order.
func (p *program) claims(ctx context.Context, o *observed) ([]shard.Head, error) {
	limit, cancel := context.WithTimeout(ctx, time.Duration(p.conn.timeout))
	defer cancel()
	all, err := o.Claims(limit)
	if err != nil {
		return nil, unobserved("cannot read the claims", err)
	}
	heads := make([]shard.Head, len(o.keys))
	for i, k := range o.keys {
		heads[i] = all[k]
		heads[i].Key = k
	}
	return heads, nil
}

// owned counts the lattices each life of an instance owns by the ledger. When that
// cannot be read, which is when one wants to see the instances, it warns and gives
// what they say of themselves: reported.
func (p *program) owned(ctx context.Context, o *observed) (n map[shard.Incarnation]int, reported bool, err error) {
	n = map[shard.Incarnation]int{}
	heads, err := p.claims(ctx, o)
	switch {
	case ctx.Err() != nil:
		return nil, false, err
	case err != nil:
		p.out.say("warning: %s; OWNS is what each instance said last.", terminal.Safe(err.Error()))
		for _, m := range o.members {
			n[m.Incarnation] = m.Held
		}
		return n, true, nil
	}
	for _, h := range heads {
		if h.HeldBy(h.Record.Incarnation) {
			n[h.Record.Incarnation]++
		}
	}
	return n, false, nil
}
