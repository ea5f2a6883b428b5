package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"wadm/config/terminal"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

func (p *program) status() *cobra.Command {
	var watch duration
	cmd := &cobra.Command{
		Use:               "status NAME",
		Short:             "Show the status of an application and of each of its rules",
		Args:              arguments(1, 1),
		ValidArgsFunction: p.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := p.client(c.Context())
			if err != nil {
				return err
			}
			return p.repeat(c.Context(), time.Duration(watch), func(ctx context.Context, out *output) error {
				return showStatus(ctx, client, out, args[0])
			})
		},
	}
	watchFlag(cmd, &watch)
	return cmd
}

func showStatus(ctx context.Context, client *api.Client, out *output, name string) error {
	what := fmt.Sprintf("cannot read the status of %q", name)
	status, err := client.Status(ctx, name)
	if err != nil {
		return failed(what, err)
	}
	versions, err := client.Versions(ctx, name)
	// An unknown application is undeployed to the server. One that was deleted
	// has a status until nothing of it is left.
	if err != nil && (status.Status.Type == tenancy.StatusUndeployed || len(status.Scalers) == 0 && status.Status.Type == tenancy.StatusWaiting) {
		return failed(what, err)
	}
	deployed := ""
	for _, v := range versions {
		if v.Deployed {
			deployed = v.Version
		}
	}
	return out.print(struct {
		header
		Name            string         `json:"name"`
		DeployedVersion string         `json:"deployed_version,omitempty"`
		Status          tenancy.Status `json:"status"`
	}{succeeded(), name, deployed, status}, func(w io.Writer) { writeStatus(w, name, deployed, status) })
}

// writeStatus writes what wash writes: a line, a table of the rules, and the
// messages of those marked with (*).
func writeStatus(w io.Writer, name, version string, s tenancy.Status) {
	fmt.Fprintf(w, "%s@%s - %s\n", terminal.Safe(name), terminal.Safe(version), title(string(s.Status.Type)))
	if len(s.Scalers) == 0 {
		if s.Status.Message != "" {
			fmt.Fprintf(w, "  %s\n", terminal.Safe(s.Status.Message))
		}
		return
	}
	fmt.Fprintln(w)
	rows := [][]string{{"NAME", "KIND", "STATUS"}}
	messages := false
	for _, sc := range s.Scalers {
		mark := ""
		if sc.Status.Message != "" {
			mark, messages = " (*)", true
		}
		rows = append(rows, []string{shortName(name, sc.Name), sc.Kind, title(string(sc.Status.Type)) + mark})
	}
	table(w, rows)
	if !messages {
		return
	}
	fmt.Fprintln(w, "\nMessages (*):")
	for _, sc := range s.Scalers {
		if sc.Status.Message != "" {
			fmt.Fprintf(w, "  %s: %s\n", terminal.Safe(shortName(name, sc.Name)), terminal.Safe(sc.Status.Message))
		}
	}
}

func (p *program) remove() *cobra.Command {
	var allUndeployed bool
	cmd := &cobra.Command{
		Use:               "delete NAME|FILE [VERSION]",
		Aliases:           []string{"del"},
		Short:             "Delete a version of an application, all versions unless one is given; a deployed one is taken out of service",
		Args:              arguments(0, 2),
		ValidArgsFunction: p.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			if allUndeployed == (len(args) > 0) {
				return usagef("%s: give a name, a file or --all-undeployed", c.CommandPath())
			}
			ctx := c.Context()
			var names []string
			if len(args) > 0 {
				name, err := p.nameOf(ctx, args[0])
				if err != nil {
					return err
				}
				names = []string{name}
			}
			client, err := p.client(ctx)
			if err != nil {
				return err
			}
			if allUndeployed {
				models, err := client.List(ctx)
				if err != nil {
					return failed("cannot list applications", err)
				}
				for _, m := range models {
					if m.DeployedVersion == nil {
						names = append(names, m.Name)
					}
				}
			}
			return p.runDelete(ctx, client, names, optional(args, 1))
		},
	}
	cmd.Flags().BoolVar(&allUndeployed, "all-undeployed", false, "all applications of which no version is deployed")
	return cmd
}

// nameOf is the name of the application in a manifest, or the argument itself.
func (p *program) nameOf(ctx context.Context, arg string) (string, error) {
	if !isSource(arg) {
		return arg, nil
	}
	src, err := p.read(ctx, arg)
	if err != nil {
		return "", err
	}
	m, err := src.parse()
	if err != nil {
		return "", err
	}
	return m.Metadata.Name, nil
}

func (p *program) runDelete(ctx context.Context, client *api.Client, names []string, version *string) error {
	type result struct {
		Name    string  `json:"name"`
		Version *string `json:"version,omitempty"`
		Existed bool    `json:"existed"`
	}
	results := []result{}
	for _, name := range names {
		r, err := client.Delete(ctx, name, version)
		if err != nil {
			return failed(fmt.Sprintf("cannot delete %q", name), err)
		}
		results = append(results, result{name, version, r.Existed})
	}
	if len(names) == 0 {
		p.out.say("Nothing to delete.")
	}
	return p.out.print(struct {
		header
		Deleted bool     `json:"deleted"`
		Results []result `json:"results"`
	}{succeeded(), true, results}, func(w io.Writer) {
		for _, r := range results {
			switch {
			case !r.Existed && r.Version != nil:
				fmt.Fprintf(w, "Nothing deleted: there is no version %q of application %s\n", *r.Version, r.Name)
			case !r.Existed:
				fmt.Fprintf(w, "Already deleted application: %s\n", r.Name)
			case r.Version != nil:
				fmt.Fprintf(w, "Deleted application: %s, version %q\n", r.Name, *r.Version)
			default:
				fmt.Fprintf(w, "Deleted application: %s\n", r.Name)
			}
		}
	})
}
