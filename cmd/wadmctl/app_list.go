package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"wadm/config/terminal"
	"wadm/tenancy/api"
)

// applicationList is the JSON of list.
type applicationList struct {
	header
	Applications []api.ModelSummary `json:"applications"`
}

func (p *program) list() *cobra.Command {
	var watch duration
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the applications of the lattice",
		Args:  arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := p.client(c.Context())
			if err != nil {
				return err
			}
			return p.repeat(c.Context(), time.Duration(watch), func(ctx context.Context, out *output) error {
				return showList(ctx, client, out)
			})
		},
	}
	watchFlag(cmd, &watch)
	return cmd
}

func showList(ctx context.Context, client *api.Client, out *output) error {
	models, err := client.List(ctx)
	if err != nil {
		return failed("cannot list applications", err)
	}
	return out.print(applicationList{succeeded(), append([]api.ModelSummary{}, models...)}, func(w io.Writer) {
		rows := [][]string{{"NAME", "LATEST", "DEPLOYED", "STATUS", "MESSAGE"}}
		for _, m := range models {
			deployed := ""
			if m.DeployedVersion != nil {
				deployed = *m.DeployedVersion
			}
			rows = append(rows, []string{m.Name, m.Version, terminal.OrDash(deployed), title(string(m.Status)), m.StatusMessage})
		}
		table(w, rows)
		if len(models) == 0 {
			out.say("No applications in this lattice.")
		}
	})
}

func (p *program) history() *cobra.Command {
	return &cobra.Command{
		Use:               "history NAME",
		Short:             "List the versions of an application, in the order they were put",
		Args:              arguments(1, 1),
		ValidArgsFunction: p.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := p.client(c.Context())
			if err != nil {
				return err
			}
			versions, err := client.Versions(c.Context(), args[0])
			if err != nil {
				return failed(fmt.Sprintf("cannot read the history of %q", args[0]), err)
			}
			return p.out.print(struct {
				header
				Revisions []api.VersionInfo `json:"revisions"`
			}{succeeded(), append([]api.VersionInfo{}, versions...)}, func(w io.Writer) {
				rows := [][]string{{"VERSION", "DEPLOYED"}}
				for _, v := range versions {
					rows = append(rows, []string{v.Version, fmt.Sprint(v.Deployed)})
				}
				table(w, rows)
			})
		},
	}
}

// completeApps completes the name of an application. It stays silent when
// nobody answers soon.
func (p *program) completeApps(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || p.configure(c) != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	p.conn.timeout = duration(min(time.Duration(p.conn.timeout), time.Second))
	client, err := p.client(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	models, err := client.List(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var names []string
	for _, m := range models {
		names = append(names, m.Name)
	}
	return names, cobra.ShellCompDirectiveDefault
}
