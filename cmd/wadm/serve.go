package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"wadm/config"
	"wadm/config/natsconn"
	"wadm/telemetry"
)

// deps is what a server is made of before it does anything for a lattice.
type deps struct {
	// Config names the instance, even when the operator did not.
	Config  config.Config
	Log     *slog.Logger
	Tracing *telemetry.Tracing
	Metrics *prometheus.Registry
	Health  *telemetry.Health
	// Admin is nil when there is no admin endpoint. It already answers.
	Admin *telemetry.Admin
	// NATS is for everything but commands; Commands drops what it cannot send.
	NATS, Commands *natsconn.Conn
	// Started makes the process ready, as far as it depends on the start.
	Started func()
}

// serve runs the server until ctx ends, and returns nil when it stopped in
// order. Everything it started has ended when it returns.
func serve(ctx context.Context, d deps) error {
	s, err := newServer(ctx, d)
	if err != nil {
		return err
	}
	d.Health.AddReadiness("server", s.check)
	observeServer(d.Metrics, s)
	if d.Admin != nil {
		d.Admin.Handle("GET /ring", jsonPage(func() any { return s.fleet.Status() }))
	}
	d.Started()
	d.Log.Info("wadm is ready")
	err = s.run(ctx)
	if ctx.Err() != nil {
		d.Log.Info("stopping", "cause", context.Cause(ctx))
	}
	return err
}
