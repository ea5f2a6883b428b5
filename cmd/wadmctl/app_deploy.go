package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wadm/tenancy"
	"wadm/tenancy/api"
)

// deployed is the JSON of deploy, with wash's names.
type deployed struct {
	header
	Name     string `json:"model_name"`
	Version  string `json:"model_version"`
	Deployed bool   `json:"deployed"`
	// Status is what a wait ended with.
	Status *tenancy.Status `json:"status,omitempty"`
}

func (p *program) deploy() *cobra.Command {
	var file string
	var replace bool
	var w waiting
	cmd := &cobra.Command{
		Use:   "deploy [FILE|URL|-|NAME [VERSION]]",
		Short: "Deploy an application: a stored version, the last put one unless named, or a manifest that is put first",
		Long: `Deploys a stored version of an application, the last put one unless a version
is given. From a file, a URL or standard input the manifest is put first; if its
version is stored with the same content already, that is deployed.

With --wait the command ends when the application runs: 0 deployed, 7 failed,
8 out of time. ^C ends the wait only; the deployment goes on.`,
		Args:              arguments(0, 2),
		ValidArgsFunction: p.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			if w.failFast && !w.wait {
				return usagef("--fail-fast needs --wait")
			}
			w.timeout = p.waitTimeout(c)
			return p.runDeploy(c.Context(), c, file, args, replace, w)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "the manifest, instead of the argument")
	f.BoolVar(&replace, "replace", false, "replace the version if it exists with other content; what runs of it stops first")
	f.BoolVar(&w.wait, "wait", false, "wait until the application is deployed, with progress on stderr")
	f.BoolVar(&w.failFast, "fail-fast", false, "with --wait: end with 7 once the application has been failed for a second, instead of hoping for hosts or retries")
	return cmd
}

func (p *program) runDeploy(ctx context.Context, c *cobra.Command, file string, args []string, replace bool, w waiting) error {
	var src *source
	if file != "" || len(args) == 0 || isSource(args[0]) {
		if len(args) == 2 {
			return usagef("%s: a version makes sense for a stored application only; a manifest has its own", c.CommandPath())
		}
		arg, err := sourceArgument(c, file, args)
		if err != nil {
			return err
		}
		s, err := p.read(ctx, arg)
		if err != nil {
			return err
		}
		src = &s
	} else if replace {
		return usagef("%s: --replace makes sense for a manifest only", c.CommandPath())
	}
	client, err := p.client(ctx)
	if err != nil {
		return err
	}
	var name string
	var version *string
	if src != nil {
		st, err := p.store(ctx, client, *src, replace)
		if err != nil {
			return err
		}
		name, version = st.name, &st.version
	} else {
		name, version = args[0], optional(args, 1)
	}
	act := func(ctx context.Context) (string, error) {
		v, err := client.Deploy(ctx, name, version)
		if err != nil {
			return "", failed(fmt.Sprintf("cannot deploy %q", name), err)
		}
		return v, nil
	}
	doc := deployed{header: succeeded(), Name: name, Deployed: true}
	if !w.wait {
		if doc.Version, err = act(ctx); err != nil {
			return err
		}
		return p.out.print(doc, func(w io.Writer) { fmt.Fprintf(w, "Deployed application %q, version %q\n", name, doc.Version) })
	}
	w.goal, w.words = tenancy.StatusDeployed, "deployment"
	var last tenancy.Status
	if doc.Version, last, err = p.await(ctx, client, name, w, act); err != nil {
		return err
	}
	doc.Status = &last
	return p.out.print(doc, func(w io.Writer) { fmt.Fprintf(w, "Deployed application %q, version %q\n", name, doc.Version) })
}

func (p *program) undeploy() *cobra.Command {
	var all bool
	var w waiting
	cmd := &cobra.Command{
		Use:               "undeploy NAME",
		Short:             "Take an application out of service and keep its versions",
		Args:              arguments(0, 1),
		ValidArgsFunction: p.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return usagef("%s: give a name or --all", c.CommandPath())
			}
			w.timeout = p.waitTimeout(c)
			client, err := p.client(c.Context())
			if err != nil {
				return err
			}
			return p.runUndeploy(c.Context(), client, args, w)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "all applications of the lattice")
	f.BoolVar(&w.wait, "wait", false, "wait until nothing of it is left")
	return cmd
}

func (p *program) runUndeploy(ctx context.Context, client *api.Client, names []string, w waiting) error {
	if len(names) == 0 {
		models, err := client.List(ctx)
		if err != nil {
			return failed("cannot list applications", err)
		}
		for _, m := range models {
			if m.DeployedVersion != nil {
				names = append(names, m.Name)
			}
		}
	}
	w.goal, w.words = tenancy.StatusUndeployed, "removal"
	var results strings.Builder
	for _, name := range names {
		act := func(ctx context.Context) (string, error) {
			if err := client.Undeploy(ctx, name); err != nil {
				return "", failed(fmt.Sprintf("cannot undeploy %q", name), err)
			}
			return "", nil
		}
		var err error
		if w.wait {
			_, _, err = p.await(ctx, client, name, w, act)
		} else {
			_, err = act(ctx)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(&results, "Undeployed application: %s\n", name)
	}
	if len(names) == 0 {
		p.out.say("No application is deployed.")
	}
	return p.out.print(struct {
		header
		Names []string `json:"undeployed_application_names"`
	}{succeeded(), append([]string{}, names...)}, func(w io.Writer) { fmt.Fprint(w, results.String()) })
}

// waitTimeout is the time a wait may take: --timeout if given.
func (p *program) waitTimeout(c *cobra.Command) time.Duration {
	if c.Flags().Changed("timeout") {
		return time.Duration(p.conn.timeout)
	}
	return defaultWaitTimeout
}
