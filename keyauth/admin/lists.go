package admin

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A query is what stands behind the ?. Arguments that are not known are ignored, as in Kong.
type query struct{ url.Values }

// Sizes of pages.
const (
	defaultSize = 100
	maxSize     = 1000
)

// A listQuery is what all lists can be asked.
type listQuery struct {
	size   int
	offset string // of the store
	tags   func(tags []string) bool
	total  bool
}

func (c *call) listQuery() (q listQuery, err error) {
	if q.size, err = c.query.size(); err != nil {
		return q, err
	}
	if c.query.Has("offset") {
		if q.offset, err = readOffset(c.query.Get("offset")); err != nil {
			return q, err
		}
	}
	q.total = c.Seed || c.query.Get("total") == "true"
	q.tags, err = c.query.tags()
	return q, err
}

func (q query) size() (int, error) {
	if !q.Has("size") {
		return defaultSize, nil
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(q.Get("size")), 64)
	if err != nil {
		return 0, badSize("size must be a number")
	}
	if !(n >= 1 && n <= maxSize) || n != math.Floor(n) {
		return 0, badSize("size must be an integer between 1 and 1000")
	}
	return int(n), nil
}

// tags returns what the argument says of an entity's tags: a,b are both wanted, of a/b one.
func (q query) tags() (func([]string) bool, error) {
	if !q.Has("tags") {
		return nil, nil
	}
	text := q.Get("tags")
	if text == "" {
		return nil, badOption("tags", "cannot be null")
	}
	separator := ","
	if strings.Contains(text, "/") {
		separator = "/"
	}
	wanted := strings.Split(strings.TrimSuffix(text, separator), separator)
	for _, tag := range wanted {
		if !utf8.ValidString(tag) || tag == "" || !isTag(tag) {
			return nil, badOption("tags", "invalid filter syntax")
		}
	}
	if len(wanted) > 5 {
		return nil, badOption("tags", "cannot query more than 5 tags")
	}
	return func(tags []string) bool {
		if separator == "/" {
			return slices.ContainsFunc(wanted, func(tag string) bool { return slices.Contains(tags, tag) })
		}
		return !slices.ContainsFunc(wanted, func(tag string) bool { return !slices.Contains(tags, tag) })
	}, nil
}

// Offsets are the store's in Kong's clothes: base64 of a JSON list with one text.

func writeOffset(next string) string {
	text, _ := json.Marshal([]string{next}) // a text always marshals
	return base64.RawStdEncoding.EncodeToString(text)
}

func readOffset(offset string) (string, error) {
	text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(offset, "="))
	if err != nil {
		return "", badOffset(offset, "bad base64 encoding")
	}
	var list []string
	if json.Unmarshal(text, &list) != nil || len(list) != 1 {
		return "", badOffset(offset, "bad json encoding")
	}
	return list[0], nil
}

// list writes a page: path and args are where the next one is.
func (c *call) list(data []any, next string, total *int, path string, args url.Values) any {
	if data == nil {
		data = []any{}
	}
	page := map[string]any{"data": data, "next": nil}
	if c.Seed {
		delete(page, "next")
	}
	if next != "" {
		offset := writeOffset(next)
		page["offset"] = offset
		link := path + "?offset=" + url.QueryEscape(offset)
		for _, name := range []string{"tags", "size", "consumer_id", "total"} {
			if args.Has(name) {
				link += "&" + name + "=" + url.QueryEscape(args.Get(name))
			}
		}
		if c.Seed {
			link = c.origin + link
		}
		page["next"] = link
	}
	if total != nil {
		page["total"] = *total
	}
	return page
}
