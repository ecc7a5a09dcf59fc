package kongdev

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/schema"
)

// Schemas queries the servers and reads the schemas of their plugins by
// Kong's rules, and adds those of the plugins inside kongdev. Errors name every
// plugin that would keep Kong from starting.
func Schemas(ctx context.Context, servers []external.Server) (map[string]external.Info, declarative.Schemas, error) {
	infos, err := external.QueryAll(ctx, servers)
	if err != nil {
		return nil, declarative.Schemas{}, err
	}
	schemas := declarative.Schemas{Running: map[string]schema.Plugin{}, Inside: standInSchemas()}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(infos)) {
		s, err := schema.FromDump(infos[name].Schema)
		if err != nil {
			errs = append(errs, fmt.Errorf("plugin %q: Kong would not start with its schema: %w", name, err))
			continue
		}
		schemas.Running[name] = s
	}
	return infos, schemas, errors.Join(errs...)
}
