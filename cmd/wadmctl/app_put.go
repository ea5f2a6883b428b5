package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"wadm/config/terminal"
	"wadm/tenancy/api"
	"wadm/tenancy/manifest"
)

func (p *program) put() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "put [FILE|URL|-]",
		Short: "Store a version of an application without deploying it",
		Args:  arguments(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			arg, err := sourceArgument(c, file, args)
			if err != nil {
				return err
			}
			src, err := p.read(c.Context(), arg)
			if err != nil {
				return err
			}
			client, err := p.client(c.Context())
			if err != nil {
				return err
			}
			stored, err := p.store(c.Context(), client, src, false)
			if err != nil {
				return err
			}
			return p.out.print(struct {
				header
				Name      string `json:"model_name"`
				Version   string `json:"model_version"`
				Deployed  bool   `json:"deployed"`
				Unchanged bool   `json:"unchanged"`
			}{succeeded(), stored.name, stored.version, false, stored.unchanged}, func(w io.Writer) {
				if stored.unchanged {
					fmt.Fprintf(w, "Unchanged application %q, version %q\n", stored.name, stored.version)
					return
				}
				fmt.Fprintf(w, "Put application %q, version %q\n", stored.name, stored.version)
			})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the manifest, instead of the argument")
	return cmd
}

// sourceArgument is the one argument or the value of --file.
func sourceArgument(c *cobra.Command, file string, args []string) (string, error) {
	switch {
	case file == "" && len(args) == 0:
		return "", nil
	case file == "":
		return args[0], nil
	case len(args) > 0:
		return "", usagef("%s: %q and --file at once", c.CommandPath(), args[0])
	}
	return file, nil
}

// stored is a version in the catalog.
type stored struct {
	name, version string
	// unchanged: it was there already, with this content.
	unchanged bool
}

// store puts a manifest. A version that is stored already with the same
// content is fine; one with other content is a conflict, or is replaced.
func (p *program) store(ctx context.Context, client *api.Client, src source, replace bool) (stored, error) {
	m, err := src.parse()
	if err != nil {
		return stored{}, err
	}
	for _, f := range m.Validate() {
		if f.Level == manifest.Warning {
			p.out.say("warning: %s: %s", src.name, terminal.Safe(f.Message))
		}
	}
	for _, a := range m.Advice() {
		p.out.say("advice: %s: %s", src.name, terminal.Safe(a))
	}
	for _, f := range inspect(src.data).advice {
		p.out.say("advice: %s:%d:%d: %s", src.name, f.Line, f.Column, terminal.Safe(f.Message))
	}
	data, err := src.body(m)
	if err != nil {
		return stored{}, failed("cannot read manifest "+src.name, err)
	}
	name := m.Metadata.Name
	what := fmt.Sprintf("cannot put %q", name)
	res, err := client.Put(ctx, data, "")
	if err == nil {
		return stored{name: res.Name, version: res.Version}, nil
	}
	version, has := m.Version()
	if !errors.Is(err, api.ErrExists) || !has {
		return stored{}, failed(what, err)
	}
	have, gerr := client.Get(ctx, name, &version)
	if gerr != nil {
		return stored{}, failed(what, errors.Join(err, gerr))
	}
	switch {
	case same(have, m):
		return stored{name: name, version: version, unchanged: true}, nil
	case !replace:
		return stored{}, &failure{exitConflict, what, fmt.Errorf("version %s exists with other content", version),
			"give the manifest a new version annotation, or use 'wadmctl app deploy FILE --replace'"}
	}
	if _, err := client.Delete(ctx, name, &version); err != nil {
		return stored{}, failed(fmt.Sprintf("cannot replace %q, version %q", name, version), err)
	}
	p.out.say("Replacing version %q of %q.", version, name)
	if res, err = client.Put(ctx, data, ""); err != nil {
		return stored{}, failed(what, err)
	}
	return stored{name: res.Name, version: res.Version}, nil
}
