// Command s3put puts files into a bucket, creating the bucket: what the demo
// and the benchmarks need of an S3 client.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func main() {
	endpoint := flag.String("endpoint", "", "http://host:port of the store")
	bucket := flag.String("bucket", "", "bucket, created if missing")
	prefix := flag.String("prefix", "", "prefix of the keys")
	flag.Parse()
	if err := run(context.Background(), *endpoint, *bucket, *prefix, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "s3put:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, endpoint, bucket, prefix string, files []string) error {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1"))
	if err != nil {
		return err
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(endpoint), true })
	var owned *types.BucketAlreadyOwnedByYou
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil && !errors.As(err, &owned) {
		return err
	}
	for _, name := range files {
		if err := put(ctx, client, bucket, prefix, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func put(ctx context.Context, client *s3.Client, bucket, prefix, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(prefix + filepath.Base(name)), Body: f})
	return err
}
