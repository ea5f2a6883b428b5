package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"wadm/config"
	"wadm/config/natsconn"
	"wadm/telemetry"
	"wadm/telemetry/httpadmin"
	"wadm/telemetry/otlp"
)

// deps is what a server is made of before it does anything for a lattice.
type deps struct {
	// Config names the instance, even when the operator did not.
	Config  config.Config
	Log     *slog.Logger
	Tracing *otlp.Tracing
	Metrics *prometheus.Registry
	Health  *telemetry.Health
	// Admin is nil when there is no admin endpoint. It already answers.
	Admin *httpadmin.Server
	// NATS is for everything but commands; Commands drops what it cannot send.
	NATS, Commands *natsconn.Conn
	// Started makes the process ready, as far as it depends on the start.
	Started func()
}

// serve runs the server until ctx ends, and returns nil when it stopped in
// order. Everything it started has ended when it returns.
func serve(ctx context.Context, d deps) error {
	s, err := openServer(ctx, d)
	if err != nil {
		return err
	}
	d.Health.AddReadiness("server", s.check)
	observeServer(d.Metrics, s)
	if d.Admin != nil {
		d.Admin.Page("/ring", "the instances and what this one holds", jsonPage(func() any { return newRingPage(s.fleet.Status()) }))
	}
	d.Started()
	d.Log.Info("wadm is ready")
	return s.runUntilTold(ctx, d)
}

// openServer opens a server, and tries for the start timeout while JetStream
// does not answer: a cluster without a leader and a server that just started
// come up by themselves.
func openServer(ctx context.Context, d deps) (*server, error) {
	var s *server
	err := natsconn.Insist(ctx, d.Config.NATS.StartTimeout, d.Log, func(ctx context.Context) (err error) {
		s, err = newServer(ctx, d)
		return err
	})
	return s, err
}
