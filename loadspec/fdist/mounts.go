package fdist

import (
	"context"
	"errors"
	"io"
	"strings"

	"cw/loadspec"
	"cw/loadspec/source"
	"cw/loadspec/throttle"
)

// SourceMount serves the objects below a URL, s3://bucket/prefix or
// file:///folder, as the paths below prefix. src says how the store is
// reached; its locations are not used.
func SourceMount(prefix, url string, src loadspec.Source, o source.Options) Mount {
	url = strings.TrimRight(url, "/")
	return Mount{Prefix: strings.Trim(prefix, "/"), List: func(ctx context.Context, rest string) ([]Input, error) {
		src := src
		src.Locations = []string{url + "/" + rest}
		return SourceInputs(ctx, source.New([]loadspec.Source{src}, o))
	}}
}

// SourceInputs lists the objects of a set and makes inputs of them, their
// compression undone.
func SourceInputs(ctx context.Context, set *source.Set) ([]Input, error) {
	objects, err := set.List(ctx)
	var none *source.NoMatchError
	if errors.As(err, &none) {
		return nil, &StatusError{Code: 404, Reason: "No matching file(s) found: " + none.Error(), Err: err}
	}
	if err != nil {
		return nil, err
	}
	inputs := make([]Input, 0, len(objects))
	for _, o := range objects {
		named, err := suffixCodec(o.URL)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, Input{Name: o.URL, Size: o.Size, Ahead: true, Open: func(ctx context.Context) (io.ReadCloser, error) {
			return openObject(ctx, set, o, named)
		}})
	}
	return inputs, nil
}

// openObject opens one object. bzip2 is ours to undo, the rest the set's.
func openObject(ctx context.Context, set *source.Set, o source.Object, named string) (io.ReadCloser, error) {
	compression := "auto"
	if named == codecBzip2 || o.Size == 0 {
		compression = "none"
	}
	st, err := set.Stream(ctx, o, compression, 0, throttle.New(0, nil))
	if err != nil {
		return nil, err
	}
	if named == codecBzip2 {
		return decoder(objectStream{st}, named)
	}
	return objectStream{st}, nil
}

type objectStream struct{ *source.Stream }

func (s objectStream) Close() error {
	s.Stream.Close()
	return nil
}
