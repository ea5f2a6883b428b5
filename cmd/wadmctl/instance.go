package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"wadm/config/terminal"
	"wadm/shard"
	"wadm/shard/natskv"
)

func (p *program) instanceCommands() *cobra.Command {
	var s storeFlags
	c := &cobra.Command{
		Use:   "instance",
		Short: "List the running instances of wadm, and drain one",
		Args:  arguments(0, 0),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	s.add(c)
	c.AddCommand(p.instanceList(&s), p.instanceDrain(&s))
	return c
}

// instanceRow is one instance in the JSON of instance list.
type instanceRow struct {
	Instance    shard.MemberID    `json:"instance"`
	Incarnation shard.Incarnation `json:"incarnation"`
	Version     string            `json:"version"`
	State       string            `json:"state"`
	InView      bool              `json:"in_view"`
	Foreign     bool              `json:"foreign,omitempty"`
	Held        int               `json:"held"`
	Started     time.Time         `json:"started"`
	// Seen is when it last renewed its record, by the clock of NATS.
	Seen time.Time `json:"seen"`
	ago  string
}

func (p *program) instanceList(s *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the instances that run, or did until some seconds ago",
		Long: `Lists the instances that run, and how many lattices each owns. One that died
without a word is out of the view as soon as the others agree that it is gone, after
about two seconds, and listed as lost until its record expires, after 15 s. SEEN is
when it last renewed that, which it does every 2 s. OWNS is what each said last when
the claims cannot be read, which a warning says.`,
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
			list := []instanceRow{}
			for _, m := range o.members {
				list = append(list, instanceRow{
					m.ID, m.Incarnation, m.Version, o.state(m.ID, m.Incarnation), o.view.Has(m.ID, m.Incarnation), o.foreign(m.ID), owned[m.Incarnation], m.Started, m.At,
					fmt.Sprintf("%.0fs ago", m.Ago.Seconds()),
				})
			}
			return p.out.print(struct {
				header
				// Reported: held is what the instances said last, not what the ledger says.
				Reported  bool          `json:"reported,omitempty"`
				Instances []instanceRow `json:"instances"`
			}{succeeded(), reported, list}, func(w io.Writer) {
				rows := [][]string{{"INSTANCE", "VERSION", "STATE", "IN VIEW", "OWNS", "SEEN", "STARTED"}}
				for _, m := range list {
					state, in := m.State, "yes"
					if m.Foreign {
						state += ", foreign"
					}
					if !m.InView {
						in = "no"
					}
					rows = append(rows, []string{string(m.Instance), terminal.OrDash(m.Version), state, in, fmt.Sprint(m.Held), m.ago, m.Started.Local().Format(time.DateTime)})
				}
				table(w, rows)
			})
		},
	}
}

func (p *program) instanceDrain(s *storeFlags) *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use:   "drain INSTANCE",
		Short: "Have an instance hand its lattices over and end",
		Long: `Has an instance hand its lattices over to the others and end with exit code 0,
as SIGTERM does. A supervisor that restarts it whatever its exit code brings it
back at once.`,
		Args: arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := shard.ParseMemberID(args[0])
			if err != nil {
				return usagef("%s", err.Error())
			}
			nc, err := p.connect(c.Context())
			if err != nil {
				return err
			}
			limit, cancel := context.WithTimeout(c.Context(), time.Duration(p.conn.timeout))
			defer cancel()
			r, err := natskv.RequestDrain(limit, nc, id)
			switch {
			case errors.Is(err, natskv.ErrNoInstance):
				return &failure{code: exitNotFound, what: fmt.Sprintf("no instance %q answers", id), hint: "see 'wadmctl instance list'"}
			case err != nil:
				return unobserved("cannot ask for the drain", err)
			}
			p.out.say("%s gives up %d lattices.", id, r.Held)
			// Who cannot look, for whatever reason, has asked all the same.
			ctx, done := whileConnected(c.Context(), nc)
			defer done()
			o, err := p.observe(ctx, *s)
			last := err == nil && !o.anyBut(id)
			if last {
				p.out.say("warning: no other instance can take them; nobody acts for them until one is started.")
			}
			if wait {
				if err := p.awaitGone(ctx, nc, *s, id); err != nil {
					return err
				}
				p.out.say("%s has ended.", id)
			}
			return p.out.print(struct {
				header
				Instance shard.MemberID `json:"instance"`
				Held     int            `json:"held"`
				Ended    bool           `json:"ended"`
				// Last: there was no other instance to hand them over to.
				Last bool `json:"last"`
			}{succeeded(), id, r.Held, wait, last}, func(io.Writer) {})
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "wait until the instance has left, and the others have agreed on that")
	return c
}

// natsGone is how long NATS may be away before who waits for an instance to leave
// gives up. The restart of a server, or its successor in a cluster, takes less.
const natsGone = 3 * time.Second

var errNATSGone = errors.New("the connection to NATS is lost and does not come back")

// whileConnected is a context that ends with errNATSGone when NATS is away for longer
// than that: who asks then would wait for the answer as long as it may.
func whileConnected(ctx context.Context, nc *nats.Conn) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		up := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				if nc.IsConnected() {
					up = now
				} else if now.Sub(up) > natsGone {
					end(errNATSGone)
				}
			}
		}
	}()
	return ctx, func() { end(nil) }
}

// awaitGone waits until an instance has removed its record, its last act, and
// until the others, if there are any, have a view without it: what is shown
// afterwards does not have it any more. The last server of a wadm dev takes NATS
// with it, and then nothing can be seen any more.
func (p *program) awaitGone(ctx context.Context, nc *nats.Conn, s storeFlags, id shard.MemberID) error {
	o, err := p.observerOn(nc, s)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		now := &observed{Observer: o}
		err := now.look(limit)
		if err == nil && !slices.ContainsFunc(now.members, func(m natskv.Seen) bool { return m.ID == id }) {
			if _, in := now.view.Member(id); !in || !now.anyBut(id) {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			switch cause := context.Cause(ctx); {
			case errors.Is(cause, errNATSGone):
				return &failure{
					code: exitUnreachable, what: fmt.Sprintf("%s was asked to drain; whether it has left cannot be seen", id), cause: cause,
					hint: "the last server of a 'wadm dev' takes NATS with it, and then all has ended",
				}
			case cause != nil:
				return failed("interrupted", cause)
			}
			return &failure{code: exitTimeout, what: fmt.Sprintf("%s has not left within a minute", id), cause: err}
		}
	}
}
