package bench

import (
	"fmt"
	"io"
)

// Reports are those of one run, in the order in which servers were measured.
type Reports []*Report

// WriteText writes the figures side by side, and how often the last one's is the
// first one's.
func (rs Reports) WriteText(w io.Writer) {
	if len(rs) == 0 {
		return
	}
	fmt.Fprintf(w, "%-52s", fmt.Sprintf("%d lattices of %d hosts", rs[0].Lattices, rs[0].Hosts))
	for _, r := range rs {
		fmt.Fprintf(w, "%16.15s", r.Server)
	}
	if len(rs) > 1 {
		fmt.Fprintf(w, "%10s", "ratio")
	}
	fmt.Fprintln(w)
	for _, row := range []struct {
		title string
		of    func(*Report) float64
	}{
		{"quiet heartbeats handled per second", func(r *Report) float64 { return r.Quiet.Rate }},
		{"quiet heartbeat, processor time (µs)", func(r *Report) float64 { return r.Quiet.CPU }},
		{"quiet heartbeat, messages of the server", func(r *Report) float64 { return r.Quiet.Messages }},
		{"quiet heartbeat, bytes of the server", func(r *Report) float64 { return r.Quiet.Bytes }},
		{"commands while nothing happened", func(r *Report) float64 { return float64(r.Quiet.Commands) }},
		{"most heartbeats handled per second", func(r *Report) float64 { return r.Most.Rate }},
		{"  processor time of each (µs)", func(r *Report) float64 { return r.Most.CPU }},
		{"instance stopped to command, p50 (ms)", func(r *Report) float64 { return r.Reaction.P50 }},
		{"instance stopped to command, p99 (ms)", func(r *Report) float64 { return r.Reaction.P99 }},
		{"instance stopped to command, never in 15 s", func(r *Report) float64 { return float64(r.Reaction.Missed) }},
		{"deploy acknowledged to command, p50 (ms)", func(r *Report) float64 { return r.Deploy.P50 }},
		{"deploy acknowledged to command, p99 (ms)", func(r *Report) float64 { return r.Deploy.P99 }},
		{"deploy acknowledged to command, never in 15 s", func(r *Report) float64 { return float64(r.Deploy.Missed) }},
	} {
		fmt.Fprintf(w, "%-52s", row.title)
		for _, r := range rs {
			fmt.Fprintf(w, "%16.2f", row.of(r))
		}
		if len(rs) > 1 && row.of(rs[0]) > 0 {
			fmt.Fprintf(w, "%10.2f", row.of(rs[len(rs)-1])/row.of(rs[0]))
		}
		fmt.Fprintln(w)
	}
}
