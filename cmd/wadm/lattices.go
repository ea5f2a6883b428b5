package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"wadm/scheduler"
	"wadm/shard"
)

const (
	// lookForLattices is the time between two looks for lattices that have
	// applications and are not registered.
	lookForLattices = time.Minute
	// dropLatticesAfter is how long a lattice without hosts and without applications
	// is kept. It costs little, but whoever makes up names must not be able to fill
	// the instances with lattices for ever. A host of it that speaks brings it back.
	dropLatticesAfter = time.Hour
	// lookForVacant is the time between two looks for such lattices.
	lookForVacant = 5 * time.Minute
)

// discover registers every lattice that shows itself, by an application or by a
// host, and lets go of those that no longer do.
func (s *server) discover(ctx context.Context) error {
	select {
	case <-s.registrar.listed: // or everything would be registered once more
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.discovery.Discover(ctx, s.registrar.want) })
	g.Go(func() error {
		s.every(ctx, 0, lookForLattices, s.registerDeployed)
		return nil
	})
	g.Go(func() error {
		s.every(ctx, lookForVacant, lookForVacant, s.dropVacant)
		return nil
	})
	return g.Wait()
}

// every calls f after wait and then at each interval until ctx ends. What fails
// is made up for by the next call.
func (s *server) every(ctx context.Context, wait, interval time.Duration, f func(context.Context) error) {
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if err := f(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("looking after the lattices failed; trying again", "in", interval, "error", err)
		}
		t.Reset(interval)
	}
}

// registerDeployed registers the lattices that have applications. A deploy has
// done so before; this is for a registry that was lost.
func (s *server) registerDeployed(ctx context.Context) error {
	known, err := s.catalog.Lattices(ctx)
	if err != nil {
		return err
	}
	for _, key := range known {
		s.registrar.want(key)
	}
	return nil
}

// dropVacant lets go of the owned lattices in which there is nothing and has been
// nothing for long.
func (s *server) dropVacant(ctx context.Context) error {
	for _, c := range s.scheduler.Vacant(ctx, s.dropAfter) {
		if err := s.drop(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// drop unregisters a lattice, so that its claim is released and expires like what
// the ledger has of its state. An application that is put at this moment has the
// lattice registered again, at the latest by registerDeployed.
func (s *server) drop(ctx context.Context, c scheduler.Claim) error {
	apps, err := s.catalog.List(ctx, c.Key)
	if err != nil || len(apps) > 0 {
		return err
	}
	if err := s.ledger.ForgetState(ctx, c); err != nil {
		return err
	}
	if err := s.registry.Unregister(ctx, shard.Key(c.Key.Token())); err != nil {
		return err
	}
	s.log.Info("lattice has no hosts and no applications and is let go", "tenant", c.Key.Tenant, "lattice", c.Key.Lattice, "epoch", c.Epoch)
	return nil
}
