package telemetry

import (
	"maps"
	"slices"
)

// Headers carries a trace in the headers of a message. It is a plain map, as
// nats.Header is: convert with Headers(msg.Header). Names stay exactly as
// given; hosts look for "traceparent" in lower case, and the usual HTTP
// carrier would write "Traceparent".
type Headers map[string][]string

// Get returns the first value of key, or nothing.
func (h Headers) Get(key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set replaces the values of key.
func (h Headers) Set(key, value string) { h[key] = []string{value} }

// Keys lists the names, sorted.
func (h Headers) Keys() []string { return slices.Sorted(maps.Keys(h)) }
