package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"wadm/loadtest/churn"
)

func churnCommand(o *options) *cobra.Command {
	var cfg churn.Config
	var show bool
	c := &cobra.Command{
		Use:   "churn",
		Short: "Do random things to lattices, let them rest, and compare",
		Long: `Deploys, scales, upgrades, rolls back, undeploys and deletes applications while
hosts join, leave, crash, fall silent and are relabelled and operators break
things by hand; then rests and compares every host with what the deployed
manifests demand. The same seed gives the same operations. The server must be
fresh: it must not know the lattices. The longer it waits for commands, the longer
rest may take, but it must wait longer than hosts are silent: five heartbeats, and
longer when they have images to compile afterwards:

  loadtest churn --run 'bin/wadm -s {nats} --command-deadline 15s' --duration 1m

Exit code 1 says that there were violations.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			plan, err := churn.NewPlan(cfg)
			if err != nil {
				return err
			}
			if show {
				for name, ops := range plan.Operations() {
					for _, op := range ops {
						fmt.Fprintf(c.OutOrStdout(), "%s %v\n", name, op)
					}
				}
				return nil
			}
			return o.each(c.Context(), func(r *rig) error {
				report, err := churn.Run(c.Context(), r.nc, plan)
				if err != nil {
					return err
				}
				report.Server = r.name
				if err := o.write(c.OutOrStdout(), report); err != nil {
					return err
				}
				if len(report.Violations) > 0 {
					return errFound
				}
				return nil
			})
		},
	}
	d := churn.Config{}.WithDefaults()
	f := c.Flags()
	f.Uint64Var(&cfg.Seed, "seed", 1, "decides all operations")
	f.StringVar(&cfg.Prefix, "prefix", d.Prefix, "first part of the lattices' names")
	f.IntVar(&cfg.Lattices, "lattices", d.Lattices, "number of lattices")
	f.IntVar(&cfg.Hosts, "hosts", d.Hosts, "hosts per lattice")
	f.IntVar(&cfg.Apps, "apps", d.Apps, "applications per lattice")
	f.DurationVar(&cfg.Duration, "duration", d.Duration, "how long operations go on")
	f.Float64Var(&cfg.Rate, "rate", d.Rate, "operations per second and lattice")
	f.DurationVar(&cfg.Heartbeat, "heartbeat", d.Heartbeat, "heartbeat interval of the hosts")
	f.DurationVar(&cfg.Settle, "settle", d.Settle, "how long a lattice may take to come to rest")
	f.DurationVar(&cfg.Quiet, "quiet", 0, "how long rest is watched (default five heartbeats)")
	f.Float64Var(&cfg.Loss, "loss", 0, "share of commands lost, done without an answer, or doubled")
	f.Float64Var(&cfg.EventLoss, "event-loss", 0, "share of events lost, doubled or delayed")
	f.BoolVar(&show, "plan", false, "print the operations and do nothing")
	return c
}
