"""Photographs and masks for training and evaluation."""
