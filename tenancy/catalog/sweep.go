package catalog

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/tenancy"
)

func (c *Catalog) sweepLoop(ctx context.Context) error {
	for {
		// Half to one and a half of the pause, so that instances do not sweep together.
		t := time.NewTimer(c.cfg.SweepEvery/2 + mathrand.N(c.cfg.SweepEvery))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		n, err := c.Sweep(ctx)
		if err != nil && ctx.Err() == nil {
			c.log.Warn("sweeping the catalog failed", "error", err)
		}
		if n > 0 {
			c.log.Info("unreferenced manifests removed", "count", n)
		}
	}
}

// Sweep removes the bodies that no head names and that are older than
// Config.SweepAge: what a crash between two writes leaves behind. It returns how
// many it removed. Run does it regularly. Applications whose head cannot be
// decoded keep all their bodies.
func (c *Catalog) Sweep(ctx context.Context) (int, error) {
	type app struct {
		key  tenancy.LatticeKey
		name string
	}
	// Ages are reckoned by the clock of the server that stamped the bodies: one's own
	// may be hours ahead, and the body of a put under way would look old.
	info, err := c.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("list bodies: %w", err)
	}
	now := info.TimeStamp
	w, err := c.kv.Watch(ctx, "*.*.*.*", jetstream.MetaOnly(), jetstream.IgnoreDeletes())
	if err != nil {
		return 0, fmt.Errorf("list bodies: %w", err)
	}
	defer func() { _ = w.Stop() }()
	old := map[app][]string{}
	for listed := false; !listed; {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case u, ok := <-w.Updates():
			switch {
			case !ok:
				return 0, errors.New("list bodies: the watch ended")
			case u == nil:
				listed = true
			default:
				i := strings.LastIndexByte(u.Key(), '.')
				key, name, ok := split(u.Key()[:i])
				if !ok || !isBody(u.Key()[i+1:]) {
					continue
				}
				if now.Sub(u.Created()) >= c.cfg.SweepAge {
					old[app{key, name}] = append(old[app{key, name}], u.Key()[i+1:])
				}
			}
		}
	}
	removed := 0
	for a, bodies := range old {
		r, err := c.read(ctx, a.key, a.name)
		if errors.Is(err, ErrUndecodable) {
			continue
		}
		if err != nil {
			return removed, err
		}
		if r.head != nil {
			named := r.head.bodies()
			bodies = slices.DeleteFunc(bodies, func(b string) bool { return slices.Contains(named, b) })
		}
		for _, b := range bodies {
			if err := c.stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+c.cfg.Bucket+"."+bodyKey(a.key, a.name, b))); err != nil {
				return removed, fmt.Errorf("remove %s: %w", bodyKey(a.key, a.name, b), err)
			}
			removed++
		}
	}
	return removed, nil
}
