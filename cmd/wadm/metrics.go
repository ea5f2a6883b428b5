package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"wadm/config/natsconn"
	"wadm/telemetry/otlp"
)

// observeConnections adds the metrics that answer: is it us or NATS?
func observeConnections(reg *prometheus.Registry, tracing *otlp.Tracing, events, commands *natsconn.Conn) {
	for name, nc := range map[string]*natsconn.Conn{"main": events, "commands": commands} {
		labels := prometheus.Labels{"connection": name}
		reg.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "wadm_nats_connected", Help: "1 while the connection to NATS is up.", ConstLabels: labels,
			}, func() float64 {
				if nc.IsConnected() {
					return 1
				}
				return 0
			}),
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "wadm_nats_reconnects_total", Help: "How often the connection to NATS came back.", ConstLabels: labels,
			}, func() float64 { return float64(nc.Stats().Reconnects) }),
		)
	}
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "wadm_trace_export_failures_total", Help: "Batches of spans that could not be sent.",
	}, func() float64 { return float64(tracing.ExportFailures()) }))
}

// observeServer adds the metrics of the work for lattices. None carries a
// lattice or a host: there may be tens of thousands.
func observeServer(reg *prometheus.Registry, srv *server) {
	s, in := srv.scheduler, srv.intake
	counter := func(name, help string, labels prometheus.Labels, read func() uint64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(read()) }))
	}
	st := &s.Stats
	counter("wadm_events_total", "Lattice events handled.", nil, st.Events.Load)
	counter("wadm_events_unchanged_total", "Heartbeats that brought no news.", nil, st.Unchanged.Load)
	counter("wadm_events_dropped_total", "Events that could not be used or were older than what is known.", nil, st.Dropped.Load)
	counter("wadm_commands_total", "Commands stored in the ledger.", nil, st.Commands.Load)
	for outcome, read := range map[string]func() uint64{
		"accepted": st.Accepted.Load, "refused": st.Refused.Load, "undelivered": st.Undelivered.Load, "unknown": st.Unanswered.Load,
	} {
		counter("wadm_command_outcomes_total", "Answers to commands.", prometheus.Labels{"outcome": outcome}, read)
	}
	counter("wadm_queries_total", "Questions to hosts.", nil, st.Queries.Load)
	counter("wadm_statuses_total", "Application statuses published.", nil, st.Statuses.Load)
	counter("wadm_claims_fenced_total", "Claims that turned out to be lost.", nil, st.Fenced.Load)
	counter("wadm_worker_panics_total", "Panics caught at the edge of a lattice.", nil, st.Panics.Load)
	counter("wadm_intake_gaps_total", "Times when events may have been missed and an inventory was taken.", nil,
		func() uint64 { return in.Stats().Gaps })
	gauge := func(name, help string, read func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
	gauge("wadm_lattices_owned", "Lattices this instance acts for.", func() float64 { return float64(s.Owned()) })
	gauge("wadm_lattices_overdue", "Lattices claimed by this instance that have been recovering for longer than 30 s.",
		func() float64 { return float64(srv.fleet.Status().Overdue) })
	gauge("wadm_lattices_orphaned", "Lattices without a living owner for longer than the limit.",
		func() float64 { return float64(srv.fleet.Status().Bare) })
	gauge("wadm_members", "Instances in the agreed view.", func() float64 { return float64(len(srv.fleet.Status().View.Members)) })
	gauge("wadm_ring_disagreements", "Instances that compute another ring from the same view.",
		func() float64 { return float64(len(srv.fleet.Status().Disagree)) })
	counter("wadm_mass_loss_brakes_total", "Times when the loss of many instances at once was not believed at once.", nil,
		func() uint64 { return uint64(srv.fleet.Status().Braked) })
}
