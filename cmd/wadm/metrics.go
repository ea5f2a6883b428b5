package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"wadm/config/natsconn"
	"wadm/telemetry"
)

// observeConnections adds the metrics that answer: is it us or NATS?
func observeConnections(reg *prometheus.Registry, tracing *telemetry.Tracing, events, commands *natsconn.Conn) {
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
