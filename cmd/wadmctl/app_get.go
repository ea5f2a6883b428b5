package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"wadm/tenancy/manifest"
)

func (p *program) get() *cobra.Command {
	var watch duration
	cmd := &cobra.Command{
		Use:               "get [NAME [VERSION]]",
		Short:             "Print the manifest of an application, the last put one unless a version is given; without a name, list",
		Args:              arguments(0, 2),
		ValidArgsFunction: p.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := p.client(c.Context())
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return p.repeat(c.Context(), time.Duration(watch), func(ctx context.Context, out *output) error {
					return showList(ctx, client, out)
				})
			}
			what := fmt.Sprintf("cannot get %q", args[0])
			m, err := client.Get(c.Context(), args[0], optional(args, 1))
			if err != nil {
				return failed(what, err)
			}
			text, err := asYAML(m)
			if err != nil {
				return failed(what, err)
			}
			return p.out.print(struct {
				header
				Application *manifest.Manifest `json:"application"`
			}{succeeded(), m}, func(w io.Writer) { fmt.Fprint(w, text) })
		},
	}
	watchFlag(cmd, &watch)
	return cmd
}

// optional is the i-th argument, nil if there is none.
func optional(args []string, i int) *string {
	if i >= len(args) {
		return nil
	}
	return &args[i]
}

// asYAML writes the canonical form as people write manifests.
func asYAML(m *manifest.Manifest) (string, error) {
	data, err := m.MarshalJSON()
	if err != nil {
		return "", err
	}
	// JSON is YAML in another style.
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return "", fmt.Errorf("write manifest as YAML: %w", err)
	}
	plain(&doc)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return "", fmt.Errorf("write manifest as YAML: %w", err)
	}
	return b.String(), nil
}

// plain removes the style of JSON. Quotes come back where a text would be read
// as something else.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}
