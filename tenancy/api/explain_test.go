package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

func TestExplanationsComeFromWhoOwnsTheLattice(t *testing.T) {
	t.Parallel()
	deps := api.Deps{Explain: func(ctx context.Context, key tenancy.LatticeKey, app string) (json.RawMessage, error) {
		if _, limited := ctx.Deadline(); !limited {
			return nil, errors.New("no time limit")
		}
		switch app {
		case "moving":
			return nil, fmt.Errorf("explain: %w", api.ErrNoOwner)
		case "deleted":
			return json.RawMessage(`{"left":["deleted-web on host N"]}`), nil
		case "broken":
			return nil, errors.New("broken")
		}
		return json.RawMessage(fmt.Sprintf(`{"app":%q,"lattice":%q}`, app, key.Lattice)), nil
	}}
	s := serve(t, natstest.Start(t), deps, api.Config{})
	for _, name := range []string{"shop", "moving", "broken"} {
		s.ask(t, asked+"put", manifestOf(name, "v1"))
	}
	s.want(t, asked+"explain.shop", "", `{"result":"success","message":"Successfully explained application shop","explanation":{"app":"shop","lattice":"default"}}`)
	s.want(t, asked+"explain.nope", "", `{"result":"notfound","message":"Application with the name nope not found"}`)
	s.want(t, asked+"explain.deleted", "", `{"result":"success","message":"Successfully explained application deleted","explanation":{"left":["deleted-web on host N"]}}`)
	s.want(t, asked+"explain.moving", "", `{"message":"No server acts for this lattice at the moment, please retry the request","result":"error"}`)
	s.want(t, asked+"explain.broken", "", `{"message":"Internal error, the request was not completed","result":"error"}`)
	s.want(t, asked+"explain.a$b", "", `{"message":"Internal storage error","result":"error"}`)
	s.want(t, asked+"explain", "", `{"message":"Unsupported subject: wadm.api.default.model.explain","result":"error"}`)

	c, err := api.NewClient(s.nc, api.ClientConfig{Lattice: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Explain(t.Context(), "shop"); err != nil || string(got) != `{"app":"shop","lattice":"default"}` {
		t.Errorf("%s, %v", got, err)
	}
	for app, want := range map[string]error{"nope": api.ErrNotFound, "moving": api.ErrServer, "broken": api.ErrServer, "a.b": api.ErrInvalid} {
		if _, err := c.Explain(t.Context(), app); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", app, err, want)
		}
	}
}

func TestWithoutAnybodyToAskExplanationsAreUnsupported(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	s.want(t, asked+"explain.shop", "", `{"message":"Unsupported subject: wadm.api.default.model.explain.shop","result":"error"}`)
}
