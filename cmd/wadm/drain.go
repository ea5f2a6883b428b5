package main

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"wadm/shard"
	"wadm/shard/natskv"
)

// errDrained ends a server whose operator asked for it over NATS.
var errDrained = errors.New("asked to drain")

// runUntilTold runs the server until ctx ends or its operator asks it to drain
// (`wadmctl instance drain`). Both end it in the same order, and both are no error.
func (s *server) runUntilTold(ctx context.Context, d deps) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// Requests are answered until the lattices are given up, so that asking again
	// tells that it is under way.
	listening, mute := context.WithCancel(context.WithoutCancel(ctx))
	defer mute()
	var asked atomic.Bool
	g, gctx := errgroup.WithContext(listening)
	g.Go(func() error {
		return part(gctx, "drain requests", natskv.ServeDrain(gctx, d.NATS.Conn, shard.MemberID(d.Config.InstanceID), heardBy(d.Config), func() natskv.DrainReply {
			r := natskv.DrainReply{Held: s.scheduler.Owned(), Already: asked.Swap(true) || running.Err() != nil}
			stop(errDrained)
			return r
		}))
	})
	g.Go(func() error {
		defer mute()
		err := s.run(running)
		if running.Err() != nil {
			d.Log.Info("stopping", "cause", context.Cause(running))
		}
		if errors.Is(context.Cause(running), errDrained) && errors.Is(err, errDrained) {
			return nil
		}
		return err
	})
	return g.Wait()
}
