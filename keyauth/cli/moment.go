package cli

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"kong-go-plugins/keyauth/store"
)

// lastMoment is the last second of the year 9999, beyond which no store takes a time.
const lastMoment = 253402300799

// parseMoment reads a time: 90d, 48h or 30m from now, 2027-01-31 (its first second, UTC), 2027-01-31T12:00:00Z, or never,
// which is 0.
func parseMoment(field, text string, now time.Time) (int64, error) {
	if text == "" || text == "never" {
		return 0, nil
	}
	if d, ok := parseSpan(text); ok {
		at := now.Add(d).Unix()
		if d < 0 || at < 0 || at > lastMoment {
			return 0, usagef("%s %q: it is not a time between now and the year 9999", field, text)
		}
		return at, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			if t.Unix() < 1 || t.Unix() > lastMoment {
				return 0, usagef("%s %q: it is not between 1970 and the year 9999", field, text)
			}
			return t.Unix(), nil
		}
	}
	return 0, usagef("%s %q: it is no time; write for instance 90d, 48h, 2027-01-31, 2027-01-31T12:00:00Z or never", field, text)
}

// parseSpan reads a duration of Go, or one in days.
func parseSpan(text string) (time.Duration, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		const most = 100_000 // days; a Duration holds a little more
		return time.Duration(n) * 24 * time.Hour, err == nil && -most <= n && n <= most
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// parseExpiry reads the end of a key, which has to come yet.
func parseExpiry(field, text string, now time.Time) (int64, error) {
	at, err := parseMoment(field, text, now)
	if err == nil && at != 0 && at <= now.Unix() {
		err = usagef("%s %q: it is over already; name a time to come", field, text)
	}
	return at, err
}

// splitList reads a comma list.
func splitList(text string) (list []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

func parseScopes(text string) ([]string, error) {
	list := splitList(text)
	for _, scope := range list {
		if _, _, err := store.ParseScope(scope); err != nil {
			return nil, usageError{fmt.Errorf("-scopes: %w", err)}
		}
	}
	return list, nil
}

func parseNetworks(text string) (list []netip.Prefix, err error) {
	for _, part := range splitList(text) {
		network, err := store.ParseNetwork(part)
		if err != nil {
			return nil, usageError{fmt.Errorf("-cidrs: %w", err)}
		}
		list = append(list, network)
	}
	return list, nil
}

// showTime is a time as it is shown; 0 is never.
func showTime(at int64) string {
	if at == 0 {
		return "never"
	}
	return time.Unix(at, 0).UTC().Format(time.RFC3339)
}
