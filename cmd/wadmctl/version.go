package main

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"wadm/config/terminal"
)

// version is ours; the server has the same. The release build sets it:
// -ldflags "-X main.version=1.2.3".
var version = "0.22.0"

// apiLevel is the version of upstream wadm whose API is spoken.
const apiLevel = "0.21"

func (p *program) version() *cobra.Command {
	var clientOnly bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and whether a server answers",
		Args:  arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			type server struct {
				Answers bool   `json:"answers"`
				Address string `json:"address"`
				Lattice string `json:"lattice"`
				Error   string `json:"error,omitempty"`
				// Milliseconds is how long the answer took.
				Milliseconds int64 `json:"milliseconds,omitempty"`
			}
			doc := struct {
				header
				Client   string  `json:"client"`
				APILevel string  `json:"api_level"`
				Go       string  `json:"go"`
				Server   *server `json:"server,omitempty"`
			}{header: succeeded(), Client: version, APILevel: apiLevel, Go: runtime.Version()}
			if !clientOnly {
				s := &server{Address: redacted(p.conn.address()), Lattice: p.conn.lattice}
				if p.conn.context != "" {
					s.Address = "context " + p.conn.context
				}
				client, err := p.client(c.Context())
				begun := time.Now()
				if err == nil {
					_, err = client.List(c.Context())
				}
				if err == nil {
					s.Answers, s.Milliseconds = true, time.Since(begun).Milliseconds()
				} else {
					s.Error = failed("no answer", err).Error()
				}
				doc.Server = s
			}
			return p.out.print(doc, func(w io.Writer) {
				fmt.Fprintf(w, "wadmctl %s\nAPI level %s\n%s %s/%s\n", version, apiLevel, runtime.Version(), runtime.GOOS, runtime.GOARCH)
				switch s := doc.Server; {
				case s == nil:
				case s.Answers:
					fmt.Fprintf(w, "server answers at %s for lattice %s in %d ms\n", s.Address, s.Lattice, s.Milliseconds)
				default:
					fmt.Fprintf(w, "no server: %s\n", terminal.Safe(s.Error))
				}
			})
		},
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "do not ask for a server")
	return cmd
}
