package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"wadm/loadtest/conform"
)

func conformCommand(o *options) *cobra.Command {
	var cfg conform.Config
	var list, tolerate bool
	c := &cobra.Command{
		Use:   "conform",
		Short: "Check what clients, hosts and operators may rely on, case by case",
		Long: `Runs named cases, each of one guarantee, on lattices of their own. A failure that
upstream wadm is known for is shown with its number. Exit code 1 says that a
case failed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if list {
				for _, k := range conform.Cases() {
					fmt.Fprintf(c.OutOrStdout(), "%s / %s: %s %s\n", k.Group, k.Name, k.Guarantee, k.Defect)
				}
				return nil
			}
			return o.each(c.Context(), func(r *rig) error {
				report, err := conform.Run(c.Context(), r.nc, cfg)
				if err != nil {
					return err
				}
				report.Server = r.name
				if err := o.write(c.OutOrStdout(), report); err != nil {
					return err
				}
				if report.Count(conform.Fail) > 0 || !tolerate && report.Count(conform.Known) > 0 {
					return errFound
				}
				return nil
			})
		},
	}
	d := conform.Config{}.WithDefaults()
	f := c.Flags()
	f.StringVar(&cfg.Prefix, "prefix", d.Prefix, "first part of the lattices' names")
	f.StringVar(&cfg.Only, "only", "", "run the cases whose group or name contains this")
	f.DurationVar(&cfg.Patience, "patience", d.Patience, "how long an outcome may take")
	f.IntVar(&cfg.Parallel, "parallel", d.Parallel, "how many cases run at once")
	f.BoolVar(&tolerate, "tolerate-known", false, "succeed although cases fail in which upstream is known to fail")
	f.BoolVar(&list, "list", false, "list the cases and run none")
	return c
}
