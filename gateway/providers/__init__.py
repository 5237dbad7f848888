"""Providers: one file for each dialect that upstreams speak. All pure: values in, values out."""
