package natsjs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/tenancy"
)

// Discovery notices lattices by their events.
type Discovery struct {
	s *Streams
	// Owned by Discover: how many names it has refused, and when it last said so.
	refused int
	warned  time.Time
}

// NewDiscovery returns the discovery of s.
func NewDiscovery(s *Streams) *Discovery { return &Discovery{s: s} }

// Discover calls found for every lattice with events, until ctx ends: at once
// when a host says it has started, and about every ten seconds for all that have
// stored events. found is called again and again for the same lattice, never two
// calls at a time, and must be quick. Heartbeats cost nothing here.
func (d *Discovery) Discover(ctx context.Context, found func(tenancy.LatticeKey)) error {
	started := make(chan *nats.Msg, 1024)
	subs := map[*nats.Subscription]*events{}
	defer func() {
		for sub := range subs {
			_ = sub.Unsubscribe()
		}
	}()
	// Tenants may be added at any time.
	listen := func() error {
		for _, e := range d.s.allEvents() {
			if slices.Contains(slices.Collect(maps.Values(subs)), e) {
				continue
			}
			sub, err := d.s.nc.ChanSubscribe(e.prefix()+"wasmbus.evt.*.host_started", started)
			if err != nil {
				return fmt.Errorf("discover lattices: %w", err)
			}
			subs[sub] = e
		}
		return nil
	}
	ticker := time.NewTicker(d.s.cfg.Discovery)
	defer ticker.Stop()
	for {
		if err := listen(); err != nil {
			return err
		}
		for _, e := range subs {
			d.list(ctx, e, found)
		}
	wait:
		for {
			select {
			case m := <-started:
				if e := subs[m.Sub]; e != nil {
					// {account.}wasmbus.evt.{lattice}.host_started
					d.see(e, strings.TrimSuffix(strings.TrimPrefix(m.Subject, e.prefix()+"wasmbus.evt."), ".host_started"), found)
				}
			case <-ticker.C:
				break wait
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// list reports the lattices with stored events. A failed look is made up for by
// the next one.
func (d *Discovery) list(ctx context.Context, e *events, found func(tenancy.LatticeKey)) {
	limited, cancel := context.WithTimeout(ctx, d.s.cfg.APITimeout)
	defer cancel()
	st, err := d.s.js.Stream(limited, e.stream)
	var info *jetstream.StreamInfo
	if err == nil {
		info, err = st.Info(limited, jetstream.WithSubjectFilter(storedSubject+"*"))
	}
	if err != nil {
		if ctx.Err() == nil {
			e.alarms.raise(time.Now())
			d.s.log.Debug("lattices not listed", "tenant", e.tenant, "error", err)
		}
		return
	}
	e.heard(info)
	for subject := range info.State.Subjects {
		d.see(e, strings.TrimPrefix(subject, storedSubject), found)
	}
}

// see reports a lattice whose name is allowed.
func (d *Discovery) see(e *events, name string, found func(tenancy.LatticeKey)) {
	l, err := tenancy.ParseLattice(name)
	if err == nil {
		found(tenancy.LatticeKey{Tenant: e.tenant, Lattice: l})
		return
	}
	d.refused++
	// Whoever invents names must not fill the log too.
	if time.Since(d.warned) >= time.Minute {
		d.warned = time.Now()
		d.s.log.Warn("lattice refused", "tenant", e.tenant, "error", err, "refused", d.refused)
	}
}
