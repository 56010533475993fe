"""Carries requests that are given a credential to where they go, and the answers back."""
