// Package telemetry makes a running server visible: logs, health, and the names of
// what is measured and traced. Traces are sent by package otlp, metrics and pages
// served by package httpadmin; both are large, and programs that only use the names
// do without them.
//
// Nothing here is global. A logger, a tracer provider, a metrics registry and
// a [Health] are made at start and handed down. Tracing that is off costs
// nothing: its provider makes no spans.
//
// The names of span attributes, spans and log keys stand in attributes.go, so
// that dashboards and queries can rely on them.
//
// Liveness is that the process answers. It never depends on NATS or on other
// instances, or an outage of NATS would restart the whole fleet; readiness does.
package telemetry
