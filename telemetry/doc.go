// Package telemetry makes a running server visible: logs, traces, metrics,
// health and the HTTP pages of the admin address.
//
// Nothing here is global. A logger, a tracer provider, a metrics registry and
// a [Health] are made at start and handed down. Tracing that is off costs
// nothing: its provider makes no spans.
//
// The names of span attributes, spans and log keys stand in attributes.go, so
// that dashboards and queries can rely on them.
//
// Liveness never depends on NATS or on other instances, or an outage of NATS
// would restart the whole fleet; readiness does.
package telemetry
