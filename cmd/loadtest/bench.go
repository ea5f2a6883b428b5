package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"wadm/loadtest/bench"
)

func benchCommand(o *options) *cobra.Command {
	var cfg bench.Config
	var pid int
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure what heartbeats cost and how soon commands follow",
		Long: `Measures quiet heartbeats at a rate, as many heartbeats as the server takes, the
time from a stopped instance to the command that replaces it, and the time from
an acknowledged deployment to its first command. Processor time and traffic are
measured for servers that --run starts; for another one its processor time, when
--pid names it. Give --run twice to compare two servers in one run.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var reports bench.Reports
			err := o.each(c.Context(), func(r *rig) error {
				target := bench.Target{Name: r.name, NATS: r.nc, PID: pid}
				if r.server != nil {
					target.PID, target.Traffic = r.server.PID(), r.traffic
				}
				report, err := bench.Run(c.Context(), target, cfg)
				if err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				reports = append(reports, report)
				return nil
			})
			if err != nil {
				return err
			}
			return o.write(c.OutOrStdout(), reports)
		},
	}
	d := bench.Config{}.WithDefaults()
	f := c.Flags()
	f.StringVar(&cfg.Prefix, "prefix", d.Prefix, "first part of the lattices' names")
	f.IntVar(&cfg.Lattices, "lattices", d.Lattices, "number of lattices")
	f.IntVar(&cfg.Hosts, "hosts", d.Hosts, "hosts per lattice")
	f.IntVar(&cfg.Components, "components", d.Components, "components on every host")
	f.Float64Var(&cfg.Rate, "rate", d.Rate, "quiet heartbeats per second, all hosts together")
	f.DurationVar(&cfg.Duration, "duration", d.Duration, "length of each of the two measurements of heartbeats")
	f.IntVar(&cfg.Reactions, "reactions", d.Reactions, "how many stopped instances are timed")
	f.IntVar(&cfg.Deploys, "deploys", d.Deploys, "how many deployments are timed")
	f.DurationVar(&cfg.Settle, "settle", d.Settle, "how long it may take until all hosts carry their work")
	f.IntVar(&pid, "pid", 0, "process whose processor time is measured, with --server")
	return c
}

// traffic counts what connections other than ours have sent and received.
func (r *rig) traffic() (bench.Traffic, error) {
	conns, err := r.nats.NATS().Connz(nil)
	if err != nil {
		return bench.Traffic{}, fmt.Errorf("count traffic: %w", err)
	}
	var t bench.Traffic
	for _, c := range conns.Conns {
		if !strings.HasPrefix(c.Name, toolName) {
			t.Messages += c.InMsgs + c.OutMsgs
			t.Bytes += c.InBytes + c.OutBytes
		}
	}
	return t, nil
}
