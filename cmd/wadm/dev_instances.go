package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"wadm/config"
	"wadm/telemetry"
)

// instanceNames are the names of the session's servers.
func (o devOptions) instanceNames() []string {
	if o.instances == 1 {
		return []string{"dev"}
	}
	var names []string
	for i := range o.instances {
		names = append(names, fmt.Sprintf("wadm-%d", i+1))
	}
	return names
}

// runInstances runs the session's servers until ctx ends. One of several may be
// drained: the session goes on without it, and ends with the last.
func (o devOptions) runInstances(ctx context.Context, url string, environ []string, log *slog.Logger) error {
	group, gctx := errgroup.WithContext(ctx)
	for i, name := range o.instanceNames() {
		cfg := config.Config{InstanceID: name, DrainTimeout: devDrain, NATS: config.NATS{Server: url}}
		if i == 0 {
			cfg.Admin.Address = o.httpAdmin
		}
		log := log
		if o.instances > 1 {
			log = log.With("instance", name)
		}
		group.Go(func() error {
			err := run(gctx, cfg.WithDefaults(), environ, log)
			if err == nil && gctx.Err() == nil {
				log.Warn("instance has ended", telemetry.LogError, errDrained)
			}
			return err
		})
	}
	err := group.Wait()
	if err == nil && ctx.Err() == nil {
		err = errors.New("server ended by itself")
	}
	return err
}
